"""Trials that fall behind are given up before their end.

The rules are Optuna's: after each epoch a trial's dev accuracy is held against what the trials before it had after
as many epochs. Each trial keeps the schedule of its full length, so one that is not given up is as without the rule.

Where settings are trained with several seeds, the rule judges the first seed of each, so that no seed is held against
another of its own setting; then only the best half, or quarter, of the settings go on with the other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import optuna

from welltuned.errors import UsageError
from welltuned.record import EpochRow


@dataclass(frozen=True)
class Rule:
    """A rule of Optuna's for one seed, and which settings go on with further seeds: the best one of so many."""

    make: Callable[[], optuna.pruners.BasePruner]
    of: int


NONE = Rule(optuna.pruners.NopPruner, 1)
PRUNERS: Mapping[str, Rule] = {
    "median": Rule(lambda: optuna.pruners.MedianPruner(n_startup_trials=3), 2),
    "halving": Rule(optuna.pruners.SuccessiveHalvingPruner, 4),
}
"""By name: worse than the median of those before it; or not among the best quarter at 1, 4, 16, ... epochs."""


class Pruner:
    """Decides about one trial after another.

    Args:
        name: one of ``PRUNERS``; None gives nothing up.

    Raises:
        UsageError: no such rule.
    """

    def __init__(self, name: str | None) -> None:
        if name is not None and name not in PRUNERS:
            raise UsageError(
                f"there is no pruner {name!r}", where="--pruner", mend=f"choose among {', '.join(PRUNERS)}"
            )
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._rule = NONE if name is None else PRUNERS[name]
        self._study = optuna.create_study(direction="maximize", pruner=self._rule.make())
        self._trial = self._study.ask()
        self._told = 0

    def best_of(self, settings: int) -> int:
        """How many of so many settings go on with further seeds."""
        return math.ceil(settings / self._rule.of)

    def go_on(self, curve: Sequence[EpochRow]) -> bool:
        """Whether the trial whose curve is so far should go on."""
        for row in curve[self._told :]:
            self._trial.report(row.dev_accuracy, row.epoch)
        self._told = len(curve)
        return not self._trial.should_prune()

    def ended(self, curve: Sequence[EpochRow], *, whole: bool) -> None:
        """The trial came to its end, or was given up; the next one begins."""
        self.go_on(curve)
        if whole:
            self._study.tell(self._trial, max(row.dev_accuracy for row in curve))
        else:
            self._study.tell(self._trial, state=optuna.trial.TrialState.PRUNED)
        self._trial = self._study.ask()
        self._told = 0

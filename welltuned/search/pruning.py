"""Trials that fall behind are given up before their end.

The rules are Optuna's: after each epoch a trial's dev accuracy is held against what the trials before it had after
as many epochs. Each trial keeps the schedule of its full length, so one that is not given up is as without the rule.

Where settings are trained with several seeds, the rule judges the first seed of each, so that no seed is held against
another of its own setting; then only the best half, or quarter, of the settings go on with the other seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import optuna

from welltuned.errors import UsageError
from welltuned.record import EpochRow

PRUNERS: Mapping[str, Callable[[], optuna.pruners.BasePruner]] = {
    "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=3),
    "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(),
}
"""By name: worse than the median of those before it; or not among the best quarter at 1, 4, 16, ... epochs."""
SHARES = {"median": 2, "halving": 4}
"""By name: one setting of so many goes on with further seeds."""


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
        rule = optuna.pruners.NopPruner() if name is None else PRUNERS[name]()
        self._share = 1 if name is None else SHARES[name]
        self._study = optuna.create_study(direction="maximize", pruner=rule)
        self._trial = self._study.ask()
        self._told = 0

    def best_of(self, settings: int) -> int:
        """How many of so many settings go on with further seeds."""
        return math.ceil(settings / self._share)

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

"""What to try next: every point of a grid in turn, or what a sampler of Optuna suggests.

A sampler's suggestions are a function of its seed and of the scores told so far, so a search that was cut off and is
run again is led through the same trials.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import Any, Protocol

import optuna
from optuna.trial import TrialState

from welltuned.errors import UsageError
from welltuned.methods._base import Choice, Range
from welltuned.search.space import Space

Values = dict[str, Any]
DIGITS = 3
"""Significant digits of a sampled number: more would be noise in a table."""


class Proposals(Protocol):
    """Suggests values for one trial after another, ``total`` at most."""

    total: int

    @property
    def coming(self) -> list[Values]:
        """Those that are certain before the first is asked for."""

    def ask(self) -> Values | None:
        """The next trial's values by field; None when there is nothing left to try."""

    def tell(self, score: float | None) -> None:
        """How the trial asked for last did on dev; None if it failed."""


class Grid:
    """Every combination: the last field varying fastest, or mixed."""

    def __init__(self, space: Space, mixed_by: int | None = None) -> None:
        """Take a space of choices alone.

        Args:
            mixed_by: seed of a random order; None for the order of the space.

        Raises:
            UsageError: a field has a range.
        """
        for field, part in space.items():
            if isinstance(part, Range):
                raise UsageError(
                    f"a grid cannot hold the range of {field}",
                    where="--sampler grid",
                    mend=f"name values: --grid {field}=A,B,C, or use --sampler tpe",
                )
        choices = [part.values for part in space.values() if isinstance(part, Choice)]
        points = [dict(zip(space, point, strict=True)) for point in itertools.product(*choices)]
        if mixed_by is not None:
            random.Random(mixed_by).shuffle(points)
        self.total, self._all, self._points = len(points), points, iter(points)

    @property
    def coming(self) -> list[Values]:
        """Every combination."""
        return self._all

    def ask(self) -> Values | None:
        """The next combination."""
        return next(self._points, None)

    def tell(self, score: float | None) -> None:
        """A grid learns nothing."""


class Sampled:
    """Random search, or the tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna has them."""

    def __init__(self, space: Space, sampler: str, trials: int, seed: int) -> None:
        """Take at most ``trials`` suggestions; points that were tried before are passed over."""
        kinds = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(direction="maximize", sampler=kinds[sampler](seed=seed))
        self._space, self._left, self.total = space, trials, trials
        self._seen: dict[tuple[Any, ...], float | None] = {}
        self._asked: tuple[optuna.Trial, tuple[Any, ...]] | None = None
        self._kind, self._seed = sampler, seed

    @property
    def coming(self) -> list[Values]:
        """All that a random search will suggest, whatever the scores; nothing of one that learns from them."""
        if self._kind != "random" or self._seen:
            return []
        twin, found = Sampled(self._space, self._kind, self.total, self._seed), []
        while (values := twin.ask()) is not None:
            found.append(values)
            twin.tell(0.0)
        return found

    def ask(self) -> Values | None:
        """The next suggestion that is new; None after so many trials, or when new ones have become rare."""
        for trial in self._suggestions():
            values = {field: self._suggest(trial, field, part) for field, part in self._space.items()}
            key = tuple(values.values())
            if key not in self._seen:
                self._left -= 1
                self._asked = (trial, key)
                return values
            self._finish(trial, self._seen[key])
        return None

    def _suggestions(self) -> Iterator[optuna.Trial]:
        for _ in range(100 if self._left > 0 else 0):
            yield self._study.ask()

    def tell(self, score: float | None) -> None:
        """Lets the sampler learn."""
        if self._asked is not None:
            trial, key = self._asked
            self._seen[key] = score
            self._finish(trial, score)

    def _finish(self, trial: optuna.Trial, score: float | None) -> None:
        self._study.tell(trial, score, state=TrialState.FAIL if score is None else None)

    @staticmethod
    def _suggest(trial: optuna.Trial, field: str, part: Choice | Range) -> Any:
        if isinstance(part, Choice):
            return trial.suggest_categorical(field, part.values)
        if part.whole:
            return trial.suggest_int(field, int(part.low), int(part.high), log=part.log)
        value = trial.suggest_float(field, part.low, part.high, log=part.log)
        return min(max(_rounded(value), part.low), part.high)


def _rounded(value: float) -> float:
    return value if value == 0 else round(value, DIGITS - 1 - math.floor(math.log10(abs(value))))


SAMPLERS = ("grid", "random", "tpe")
DEFAULT_TRIALS = 12


def proposals(
    space: Space, sampler: str | None, trials: int | None, seed: int, *, mixed: bool = False
) -> tuple[str, Proposals]:
    """A sampler by name; without one, a grid where the space holds only lists and no number of trials is given.

    Args:
        mixed: a grid in random order, for rules that hold a trial against those before it: in order, each value may be
            better than the one before.

    Raises:
        UsageError: no such sampler, or one that does not suit the space.
    """
    listed = all(isinstance(part, Choice) for part in space.values())
    chosen = sampler or ("grid" if listed and trials is None else "tpe")
    if chosen not in SAMPLERS:
        raise UsageError(
            f"there is no sampler {chosen!r}", where="--sampler", mend=f"choose among {', '.join(SAMPLERS)}"
        )
    if chosen == "grid":
        if trials is not None:
            raise UsageError("a grid tries every point", where="--trials", mend="leave it out, or --sampler random")
        return chosen, Grid(space, seed if mixed else None)
    return chosen, Sampled(space, chosen, trials or DEFAULT_TRIALS, seed)

"""A family of configurations tested on the same items, and every pair of them corrected together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike

from welltuned.errors import DataError, UsageError
from welltuned.stats.intervals import Interval, as_correct
from welltuned.stats.multiplicity import holm, simultaneous
from welltuned.stats.paired import PairedResult, compare_pair


@dataclass(frozen=True)
class Candidate:
    """One configuration.

    Attributes:
        name: how sentences call it.
        cost: what is to be small, in any unit common to all (trained parameters, seconds).
        correct: [S, N] booleans on the common test items.
        deterministic: a method without randomness, given by one row.
    """

    name: str
    cost: float
    correct: ArrayLike
    deterministic: bool = False


@dataclass(frozen=True)
class Contrast:
    """One pair out of the family, A against B.

    Attributes:
        a, b: names.
        result: the pair by itself.
        p_adjusted: p-value after Holm over the family.
        interval: for A - B, simultaneous over the family.
        significant: p_adjusted <= 1 - level.
    """

    a: str
    b: str
    result: PairedResult
    p_adjusted: float
    interval: Interval
    significant: bool

    @property
    def difference(self) -> float:
        """Accuracy of A minus accuracy of B."""
        return self.result.difference

    @property
    def better(self) -> str | None:
        """The name that won, None where no difference was found."""
        if not self.significant:
            return None
        return self.a if self.difference > 0 else self.b

    def seen_from(self, name: str) -> tuple[float, Interval]:
        """Difference and interval with ``name``, one of the two, as the first of the pair."""
        if name == self.a:
            return self.difference, self.interval
        return -self.difference, Interval(-self.interval.upper, -self.interval.lower)


def check_candidates(candidates: Sequence[Candidate]) -> None:
    """Raise UsageError for none or a repeated name, DataError for different numbers of items."""
    if not candidates:
        raise UsageError("no candidates to judge", where="verdict")
    names = [candidate.name for candidate in candidates]
    if len(set(names)) < len(names):
        raise UsageError("two candidates have the same name", where="verdict", why=", ".join(sorted(names)))
    items = {as_correct(candidate.correct, candidate.name).shape[1] for candidate in candidates}
    if len(items) > 1:
        raise DataError(
            "the candidates were not tested on the same items", where="verdict", why=f"N is {sorted(items)}"
        )


def contrasts(pairs: Sequence[tuple[Candidate, Candidate]], level: float = 0.95) -> tuple[Contrast, ...]:
    """Compare each pair and correct over all of them (Holm; simultaneous intervals).

    Raises:
        DataError, UsageError: as :func:`~welltuned.stats.compare_pair`.
    """
    results = [
        compare_pair(a.correct, b.correct, level, deterministic_a=a.deterministic, deterministic_b=b.deterministic)
        for a, b in pairs
    ]
    adjusted = holm([result.p for result in results])
    intervals = simultaneous(results, level)
    return tuple(
        Contrast(a.name, b.name, result, float(p), interval, bool(p <= 1 - level))
        for (a, b), result, p, interval in zip(pairs, results, adjusted, intervals, strict=True)
    )

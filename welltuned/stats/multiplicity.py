"""Several comparisons at once: Holm's correction and simultaneous intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from welltuned.errors import DataError
from welltuned.stats.intervals import Interval, check_level
from welltuned.stats.paired import PairedResult
from welltuned.stats.variance import Floats


def holm(p: ArrayLike) -> Floats:
    """Adjusted p-values [..., M] by Holm's step-down method (1979), in the order given.

    Refusing "no difference" where the adjusted value is at most alpha keeps the chance of one or more
    false claims among the M at most alpha, however the tests depend on each other.

    Raises:
        DataError: a value outside [0, 1].
    """
    values = np.asarray(p, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError("p-values must lie between 0 and 1", where="holm")
    order = np.argsort(values, axis=-1, kind="stable")
    remaining = np.arange(values.shape[-1], 0, -1)
    steps = np.maximum.accumulate(np.take_along_axis(values, order, -1) * remaining, axis=-1)
    adjusted = np.empty_like(values)
    np.put_along_axis(adjusted, order, np.minimum(steps, 1.0), axis=-1)
    return adjusted


def simultaneous(results: Sequence[PairedResult], level: float = 0.95) -> tuple[Interval, ...]:
    """Intervals that hold all at once with probability ``level`` (Bonferroni), one for each result.

    An interval is cut at 0 where Holm refuses "no difference" while Bonferroni alone would keep it, so
    that intervals and decisions never contradict each other.

    Raises:
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    if not results:
        return ()
    adjusted = holm([result.p for result in results])
    wide = [result.interval_at(1 - (1 - level) / len(results)) for result in results]
    return tuple(
        _cut(interval, result.difference) if p <= 1 - level else interval
        for interval, result, p in zip(wide, results, adjusted, strict=True)
    )


def _cut(interval: Interval, difference: float) -> Interval:
    """Keep the side of 0 on which the difference lies."""
    if difference > 0:
        return Interval(max(interval.lower, 0.0), interval.upper)
    return Interval(interval.lower, min(interval.upper, 0.0))

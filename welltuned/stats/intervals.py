"""Intervals for one accuracy and for a difference of two paired accuracies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, t

from welltuned.errors import DataError, UsageError
from welltuned.stats.variance import Bools, Floats, moments, over_items, seed_term

Scope = Literal["these trained models", "the methods"]


class Interval(NamedTuple):
    """A closed interval, as fractions (0.01 is one point of accuracy)."""

    lower: float
    upper: float

    def contains(self, value: float) -> bool:
        """Whether the value lies between the bounds, bounds included."""
        return self.lower <= value <= self.upper


def as_correct(correct: ArrayLike, name: str = "correct") -> Bools:
    """Check and return correctness as booleans [S, N]; a vector [N] is taken as one seed.

    Raises:
        DataError: not [S, N], fewer than two items, or values other than 0 and 1.
    """
    given: NDArray[Any] = np.asarray(correct)
    array = given[None] if given.ndim == 1 else given
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise DataError(
            "correctness is not a table of seeds by items",
            where=name,
            why=f"its shape is {given.shape}",
            mend="pass booleans [S, N], one row for each seed, with at least two items",
        )
    if not np.isin(array, (0, 1)).all():
        raise DataError("correctness has values other than 0 and 1", where=name, mend="pass booleans [S, N]")
    return array.astype(np.bool_)


def check_level(level: float) -> None:
    """Raise UsageError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise UsageError(f"a confidence level of {level} is not between 0 and 1", where="level")


def _wilson(share: Floats | float, n: Floats | float, quantile: Floats | float) -> tuple[Floats, Floats]:
    """Wilson's bounds for an observed share of n trials and a quantile (normal or t) [...]."""
    square = np.square(quantile)
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = quantile / (1 + square / n) * np.sqrt(share * (1 - share) / n + square / (4 * n**2))
    lower = np.where(share <= 0, 0.0, np.clip(centre - half, 0, 1))
    upper = np.where(share >= 1, 1.0, np.clip(centre + half, 0, 1))
    return lower, upper


def wilson(k: int, n: int, level: float = 0.95) -> Interval:
    """Score interval for a proportion k / n (Wilson 1927, JASA 22:209).

    Raises:
        UsageError: not 0 <= k <= n, n < 1, or a level outside (0, 1).
    """
    check_level(level)
    if n < 1 or not 0 <= k <= n:
        raise UsageError(f"{k} of {n} is no proportion", where="wilson")
    lower, upper = _wilson(k / n, n, float(norm.isf((1 - level) / 2)))
    return Interval(float(lower), float(upper))


@dataclass(frozen=True)
class AccuracySummary:
    """Accuracy of one method.

    Attributes:
        mean: over S seeds and N items.
        seed_sd: standard deviation of the S seed accuracies (divisor S - 1); nan for S = 1.
        interval: for what ``scope`` names.
        level: confidence level of the interval.
        scope: "these trained models" for one seed (items are random), "the methods" for more (items
            and seeds are random), or for a method without randomness.
        n, seeds: N and S.
    """

    mean: float
    seed_sd: float
    interval: Interval
    level: float
    scope: Scope
    n: int
    seeds: int


def accuracy_bounds(correct: Bools, level: float = 0.95) -> tuple[Floats, Floats]:
    """Bounds [...] for the accuracy of the method behind correctness [..., S, N].

    Wilson's interval with n replaced by the effective number of items, ``p (1 - p) / V``, and the normal
    quantile by that of t (Korn and Graubard 1998, for clustered samples), V from the crossed model.
    """
    method = moments(correct)
    n = correct.shape[-1]
    if method.seeds == 1:
        return _wilson(method.accuracy, n, float(norm.isf((1 - level) / 2)))
    variance, df = over_items(method.item_mean, [seed_term(method, 1 / method.seeds)])
    binomial = method.accuracy * (1 - method.accuracy)
    size = np.where(binomial > 0, binomial / variance, n)
    return _wilson(method.accuracy, size, t.isf((1 - level) / 2, df))


def accuracy_summary(correct: ArrayLike, level: float = 0.95, *, deterministic: bool = False) -> AccuracySummary:
    """Mean accuracy, its spread over seeds and an interval, from correctness [S, N].

    Args:
        correct: [S, N] booleans.
        level: confidence level.
        deterministic: the method has no randomness, so its one row stands for every seed.

    Raises:
        DataError: ``correct`` is not a table of 0 and 1.
        UsageError: a level outside (0, 1).
    """
    check_level(level)
    table = as_correct(correct)
    seeds, n = table.shape
    lower, upper = accuracy_bounds(table, level)
    return AccuracySummary(
        mean=float(table.mean()),
        seed_sd=float(table.mean(axis=1).std(ddof=1)) if seeds > 1 else math.nan,
        interval=Interval(float(lower), float(upper)),
        level=level,
        scope="the methods" if seeds > 1 or deterministic else "these trained models",
        n=n,
        seeds=seeds,
    )


def tango_statistic(only_a: ArrayLike, only_b: ArrayLike, n: int, delta: ArrayLike) -> Floats:
    """Score statistic for H0: accuracy A - accuracy B = delta, on paired items; normal under H0.

    Tango, "Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design" (1998), equations 24 to 26. At delta = 0 its square is McNemar's statistic.

    Args:
        only_a: [...] items that A alone has right.
        only_b: [...] items that B alone has right.
        n: N, all items.
        delta: [...] in [-1, 1].
    """
    b, c, d = (np.asarray(x, dtype=np.float64) for x in (only_a, only_b, delta))
    linear = (2 * n - b + c) * d - b - c
    # The restricted maximum likelihood of P(only B right) is the larger root of a quadratic.
    restricted = (np.sqrt(np.maximum(linear**2 + 8 * n * c * d * (1 - d), 0)) - linear) / (4 * n)
    variance = np.maximum(n * (2 * restricted + d * (1 - d)), 0)
    gap = b - c - n * d
    infinite = np.where(gap == 0, 0.0, np.copysign(np.inf, gap))
    statistic: Floats = np.divide(gap, np.sqrt(variance), out=infinite, where=variance > 1e-12)
    return statistic


def tango_bounds(only_a: ArrayLike, only_b: ArrayLike, n: int, level: float = 0.95) -> tuple[Floats, Floats]:
    """Bounds [...] of the deltas that Tango's score test keeps, by bisection to 1e-12."""
    b, c = np.broadcast_arrays(np.asarray(only_a, np.float64), np.asarray(only_b, np.float64))
    z = norm.isf((1 - level) / 2)
    estimate = (b - c) / n

    def solve(outside: float, sign: float) -> Floats:
        kept, refused = estimate.copy(), np.full_like(estimate, outside)
        for _ in range(42):
            middle = (kept + refused) / 2
            inside = sign * tango_statistic(b, c, n, middle) <= z
            kept, refused = np.where(inside, middle, kept), np.where(inside, refused, middle)
        bound: Floats = kept
        return bound

    return solve(-1.0, 1.0), solve(1.0, -1.0)


def tango(only_a: int, only_b: int, n: int, level: float = 0.95) -> Interval:
    """Score interval for the difference of two paired proportions, (only_a - only_b) / n.

    Raises:
        UsageError: negative counts, more discordant items than n, or a level outside (0, 1).
    """
    check_level(level)
    if min(only_a, only_b) < 0 or n < 1 or only_a + only_b > n:
        raise UsageError(f"{only_a} and {only_b} discordant of {n} items cannot be", where="tango")
    lower, upper = tango_bounds(only_a, only_b, n, level)
    return Interval(float(lower), float(upper))

"""Two methods on the same test items: difference, interval and p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, t

from welltuned.errors import DataError, UsageError
from welltuned.stats.intervals import Interval, Scope, as_correct, check_level, tango_bounds
from welltuned.stats.variance import Bools, Floats, Moments, SeedTerm, moments, over_items, seed_term

MCNEMAR = "exact McNemar"
CROSSED = "crossed random-effects t"


@dataclass(frozen=True)
class PairedBatch:
    """R paired comparisons, one for each experiment.

    Attributes:
        difference: [R] mean accuracy of A minus that of B.
        standard_error: [R].
        df: [R] degrees of freedom; infinite for McNemar's test.
        p: [R] two-sided.
        n: N, items of each experiment.
        only_a, only_b: [R] items that one model alone has right; None with several seeds.
    """

    difference: Floats
    standard_error: Floats
    df: Floats
    p: Floats
    n: int
    only_a: NDArray[np.int64] | None = None
    only_b: NDArray[np.int64] | None = None

    def bounds(self, level: float) -> tuple[Floats, Floats]:
        """Lower and upper bounds [R] at a confidence level; they hold 0 whenever p > 1 - level."""
        if self.only_a is None or self.only_b is None:
            half = t.isf((1 - level) / 2, self.df) * self.standard_error
            return np.maximum(self.difference - half, -1), np.minimum(self.difference + half, 1)
        lower, upper = tango_bounds(self.only_a, self.only_b, self.n, level)
        # The exact test is the more cautious of the two; the interval must not say more than it does.
        kept = self.p > 1 - level
        return np.where(kept, np.minimum(lower, 0), lower), np.where(kept, np.maximum(upper, 0), upper)


@dataclass(frozen=True)
class PairedResult:
    """What the test items say about A against B.

    Attributes:
        difference: mean accuracy of A minus mean accuracy of B, as a fraction.
        interval: for the true difference, at ``level``.
        level: confidence level.
        p: two-sided p-value of "no difference", not corrected for other comparisons.
        test: the test's name.
        scope: what the statement is about: "these trained models" (items are random, the models are
            given) or "the methods" (items and seeds are random).
        n: N, test items.
        seeds: (S of A, S of B).
        standard_error, df: of the difference; df is infinite for McNemar's test.
        discordant: (items only A has right, items only B has right) with one seed each, else None.
    """

    difference: float
    interval: Interval
    level: float
    p: float
    test: str
    scope: Scope
    n: int
    seeds: tuple[int, int]
    standard_error: float
    df: float
    discordant: tuple[int, int] | None = None

    def interval_at(self, level: float) -> Interval:
        """The interval at another confidence level."""
        check_level(level)
        only_a, only_b = self.discordant or (None, None)
        batch = PairedBatch(
            difference=np.asarray(self.difference),
            standard_error=np.asarray(self.standard_error),
            df=np.asarray(self.df),
            p=np.asarray(self.p),
            n=self.n,
            only_a=None if only_a is None else np.asarray(only_a, np.int64),
            only_b=None if only_b is None else np.asarray(only_b, np.int64),
        )
        lower, upper = batch.bounds(level)
        return Interval(float(lower), float(upper))


def mcnemar_p(only_a: ArrayLike, only_b: ArrayLike) -> Floats:
    """Two-sided exact p-value [...] of McNemar's test: a fair coin for each discordant item."""
    b, c = np.asarray(only_a), np.asarray(only_b)
    tail: Floats = binom.cdf(np.minimum(b, c), b + c, 0.5)
    return np.minimum(1.0, 2 * tail)


def _one_model_each(a: Bools, b: Bools) -> PairedBatch:
    """Experiments [R, 1, N] with one trained model on each side."""
    n = a.shape[-1]
    only_a, only_b = (a & ~b).sum(axis=(-2, -1)), (b & ~a).sum(axis=(-2, -1))
    # Bonett and Price (2012): one invented discordant item each way keeps the error above zero.
    share_a, share_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    variance = (share_a + share_b - (share_a - share_b) ** 2) / (n + 2)
    return PairedBatch(
        difference=(only_a - only_b) / n,
        standard_error=np.sqrt(variance),
        df=np.full(only_a.shape, math.inf),
        p=mcnemar_p(only_a, only_b),
        n=n,
        only_a=only_a,
        only_b=only_b,
    )


def _seed_terms(a: Moments, b: Moments, fixed_a: bool, fixed_b: bool) -> list[SeedTerm]:
    """The seed mean squares of A - B; a method seen with one seed borrows the other's variance."""
    weight_a, weight_b = (0.0 if fixed_a else 1 / a.seeds), (0.0 if fixed_b else 1 / b.seeds)
    if a.seeds == 1:
        return [seed_term(b, weight_a + weight_b)]
    if b.seeds == 1:
        return [seed_term(a, weight_a + weight_b)]
    return [seed_term(a, weight_a), seed_term(b, weight_b)]


def compare_batch(a: Bools, b: Bools, *, deterministic_a: bool = False, deterministic_b: bool = False) -> PairedBatch:
    """Compare A [R, S, N] with B [R, S', N] in each of R experiments; see :func:`compare_pair`."""
    if a.shape[-2] == b.shape[-2] == 1:
        return _one_model_each(a, b)
    of_a, of_b = moments(a), moments(b)
    terms = _seed_terms(of_a, of_b, deterministic_a, deterministic_b)
    variance, df = over_items(of_a.item_mean - of_b.item_mean, terms)
    difference, error = of_a.accuracy - of_b.accuracy, np.sqrt(variance)
    # Equal sums may differ in the last bit of their means; such a difference is none.
    difference = np.where(np.abs(difference) < 1e-12, 0.0, difference)
    p: Floats = np.minimum(1.0, 2 * t.sf(np.abs(difference) / error, df))
    return PairedBatch(difference, error, df, p, a.shape[-1])


def _check_pair(a: Bools, b: Bools, deterministic_a: bool, deterministic_b: bool) -> None:
    if a.shape[1] != b.shape[1]:
        raise DataError(
            "the two methods were not tested on the same items",
            where="compare_pair",
            why=f"A has {a.shape[1]} items, B has {b.shape[1]}",
            mend="evaluate both on the same test rows, in the same order",
        )
    for name, table, fixed in (("A", a, deterministic_a), ("B", b, deterministic_b)):
        if fixed and table.shape[0] > 1:
            raise UsageError(
                f"{name} is called deterministic but has {table.shape[0]} seeds",
                where="compare_pair",
                mend="pass one row for a method without randomness",
            )


def compare_pair(
    correct_a: ArrayLike,
    correct_b: ArrayLike,
    level: float = 0.95,
    *,
    deterministic_a: bool = False,
    deterministic_b: bool = False,
) -> PairedResult:
    """Compare two methods on the same N items.

    One seed each: exact McNemar test (McNemar 1947) with Tango's score interval, widened to hold 0 where
    the exact test keeps 0. Otherwise: t test on the crossed random-effects variance of the difference
    with Satterthwaite's degrees of freedom (:mod:`welltuned.stats.variance`). If one method has a single
    seed and is not deterministic, it is taken to vary over seeds as the other does.

    Args:
        correct_a: [S, N] booleans; seeds are independent replicates.
        correct_b: [S', N] booleans on the same items in the same order.
        level: confidence level of the interval.
        deterministic_a: A has no randomness (majority class, logistic regression): its one row holds
            for every seed.
        deterministic_b: likewise for B.

    Raises:
        DataError: not tables of 0 and 1, or not the same items.
        UsageError: a level outside (0, 1), or a deterministic method with several seeds.
    """
    check_level(level)
    a, b = as_correct(correct_a, "correct_a"), as_correct(correct_b, "correct_b")
    _check_pair(a, b, deterministic_a, deterministic_b)
    batch = compare_batch(a[None], b[None], deterministic_a=deterministic_a, deterministic_b=deterministic_b)
    scope: Scope = "the methods"
    if batch.only_a is not None and not (deterministic_a and deterministic_b):
        scope = "these trained models"
    return _result(batch, level, scope, (a.shape[0], b.shape[0]))


def _result(batch: PairedBatch, level: float, scope: Scope, seeds: tuple[int, int]) -> PairedResult:
    """The only member of a batch, as plain numbers."""
    lower, upper = batch.bounds(level)
    discordant = None
    if batch.only_a is not None and batch.only_b is not None:
        discordant = (int(batch.only_a[0]), int(batch.only_b[0]))
    return PairedResult(
        difference=float(batch.difference[0]),
        interval=Interval(float(lower[0]), float(upper[0])),
        level=level,
        p=float(batch.p[0]),
        test=CROSSED if discordant is None else MCNEMAR,
        scope=scope,
        n=batch.n,
        seeds=seeds,
        standard_error=float(batch.standard_error[0]),
        df=float(batch.df[0]),
        discordant=discordant,
    )

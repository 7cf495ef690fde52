"""Variance of a mean over seeds and items: the two-way crossed random-effects model.

The correctness of seed s on item i is ``x[s, i] = mu + seed[s] + item[i] + noise[s, i]``. Every function
here takes leading batch axes, so that one experiment and thousands of simulated ones share the same code.

Source: Searle, Casella and McCulloch, "Variance Components" (1992), chapter 4; Satterthwaite,
"An approximate distribution of estimates of variance components" (1946).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Where items and few seeds share the variance, a small seed mean square goes with too many degrees of
# freedom, and the far tails that Holm's steps look at come out too thin. The inverse of the degrees of
# freedom is raised by MIXED * w**2 * (1 - w) / df, w the share of the seeds in the variance: next to nothing
# where one source dominates. Shape and value are calibrated by simulation (benchmarks/coverage.py).
MIXED = 0.8


@dataclass(frozen=True)
class Moments:
    """What the estimators need to know of one method.

    Attributes:
        item_mean: [..., N] share of seeds that are right on each item.
        accuracy: [...] mean over seeds and items.
        seeds: S.
        between: [...] variance of the S seed accuracies (divisor S - 1); estimates
            ``sd_seed**2 + sd_noise**2 / N``. Zero for S = 1.
        noise: [...] estimate of ``sd_noise**2 / N``, the part of ``between`` that items explain.
            Zero for S = 1.
    """

    item_mean: Floats
    accuracy: Floats
    seeds: int
    between: Floats
    noise: Floats


def moments(correct: Bools) -> Moments:
    """Mean squares of correctness [..., S, N]."""
    seeds, n = correct.shape[-2:]
    item_mean = correct.mean(axis=-2, dtype=np.float64)
    accuracy = item_mean.mean(axis=-1)
    if seeds == 1:
        zero = np.zeros_like(accuracy)
        return Moments(item_mean, accuracy, 1, zero, zero)
    between = correct.mean(axis=-1, dtype=np.float64).var(axis=-1, ddof=1)
    # x is 0 or 1, so the squares within an item sum to S m (1 - m).
    within_items = seeds * (item_mean * (1 - item_mean)).sum(axis=-1)
    residual = np.maximum(within_items - n * (seeds - 1) * between, 0) / ((n - 1) * (seeds - 1))
    return Moments(item_mean, accuracy, seeds, between, residual / n)


@dataclass(frozen=True)
class SeedTerm:
    """One independent mean square of seeds, scaled as it enters the variance.

    Attributes:
        square: [...] coefficient times ``Moments.between``.
        noise: [...] coefficient times ``Moments.noise``: already counted in the item variance.
        df: degrees of freedom of the mean square.
    """

    square: Floats
    noise: Floats
    df: int


def seed_term(method: Moments, weight: float) -> SeedTerm:
    """The seed mean square of a method with S > 1, entering the variance ``weight`` times."""
    return SeedTerm(weight * method.between, weight * method.noise, method.seeds - 1)


def satterthwaite(item: Floats, terms: Sequence[SeedTerm], n: int) -> tuple[Floats, Floats]:
    """Variance of a mean over random items and seeds, and its degrees of freedom.

    Args:
        item: [...] variance over items divided by N, with N - 1 degrees of freedom.
        terms: the seed mean squares that enter.
        n: N.

    Returns:
        variance [...], ``V = item + max(0, sum(square - noise))``; a variance of exactly zero becomes
        ``2 / (N + 2)**2``, which is that of one invented item flipped each way (Bonett and Price 2012).
        df [...], Satterthwaite's ``V**2 / (item**2 / (N - 1) + sum(square**2 / df))``, lowered by
        :data:`MIXED` and at least the smallest df that enters. The mean squares, not the truncated
        component, stand in the denominator: they are the independent quantities.
    """
    seed = np.maximum(sum(term.square - term.noise for term in terms), 0)
    variance = item + seed
    spread = item**2 / (n - 1) + sum(term.square**2 / term.df for term in terms)
    smallest = min(term.df for term in terms)
    share = np.divide(seed, variance, out=np.zeros(np.shape(variance)), where=variance > 0)
    inverse = np.divide(spread, variance**2, out=np.full(share.shape, 1 / (n - 1)), where=variance > 0)
    inverse = inverse + MIXED * share**2 * (1 - share) / smallest
    inverse = np.clip(inverse, 1e-12, 1 / min(n - 1, smallest))
    return np.where(variance > 0, variance, 2 / (n + 2) ** 2), 1 / inverse


def over_items(value: Floats, terms: Sequence[SeedTerm]) -> tuple[Floats, Floats]:
    """:func:`satterthwaite` for the mean of per-item values [..., N], each averaged over seeds."""
    n = value.shape[-1]
    return satterthwaite(value.var(axis=-1, ddof=1) / n, terms, n)

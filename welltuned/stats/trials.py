"""How good a search looks after k trials: the expected best dev score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from welltuned.errors import DataError, UsageError
from welltuned.stats.intervals import Interval, check_level
from welltuned.stats.variance import Floats


@dataclass(frozen=True)
class ExpectedBest:
    """Expected best dev score of k trials, with a percentile bootstrap interval over trials."""

    k: int
    value: float
    interval: Interval
    level: float


def _expected_maximum(scores: Floats, k: int) -> Floats:
    """Expected maximum [...] of k draws with replacement from n scores [..., n]."""
    n = scores.shape[-1]
    below = (np.arange(n + 1) / n) ** k  # P(maximum <= j-th smallest score), j = 0..n
    weighted: Floats = np.sort(scores, axis=-1) @ np.diff(below)
    return weighted


def expected_best(
    dev_scores: ArrayLike, k: int, *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> ExpectedBest:
    """Expected best dev score after k random trials (Dodge et al. 2019, "Show Your Work", section 3).

    With the n scores sorted, ``E[max] = sum_j v_j * ((j / n)**k - ((j - 1) / n)**k)``: the maximum of k
    draws from the empirical distribution. It leans low as k comes near n (Tang et al. 2020), so k
    stops at n.

    Args:
        dev_scores: [n] one score for each trial, drawn at random from the same space.
        k: trials, 1 to n.
        level: confidence level of the interval.
        resamples: bootstrap samples of n trials.
        seed: of the bootstrap.

    Raises:
        DataError: no scores, or some that are not finite.
        UsageError: k outside 1..n, fewer than one resample, or a level outside (0, 1).
    """
    check_level(level)
    values = np.asarray(dev_scores, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise DataError("dev scores must be a vector of finite numbers", where="expected_best")
    if not 1 <= k <= values.size or resamples < 1:
        raise UsageError(f"k is {k} and resamples {resamples}, with {values.size} trials", where="k")
    draws = np.random.default_rng(seed).integers(values.size, size=(resamples, values.size))
    tail = (1 - level) / 2
    lower, upper = np.quantile(_expected_maximum(values[draws], k), (tail, 1 - tail))
    value = float(_expected_maximum(values, k))
    return ExpectedBest(k, value, Interval(float(lower), float(upper)), level)

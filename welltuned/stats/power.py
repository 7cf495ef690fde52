"""Before the experiment: the chance to see a difference, and the smallest one that can be seen."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, chi2, norm, t

from welltuned.errors import UsageError
from welltuned.stats.intervals import Interval
from welltuned.stats.variance import Floats, SeedTerm, satterthwaite

GRID = 48  # chi-squared quantiles on each axis; four times as many change the power by less than 0.004


def independent_disagreement(accuracy_a: float, accuracy_b: float) -> float:
    """Share of items on which exactly one of two models with independent errors is right."""
    return accuracy_a * (1 - accuracy_b) + accuracy_b * (1 - accuracy_a)


def disagreement_range(accuracy_a: float, accuracy_b: float) -> Interval:
    """The shares of discordant items that two accuracies allow."""
    total = accuracy_a + accuracy_b
    return Interval(abs(accuracy_a - accuracy_b), min(total, 2 - total))


def _check(n: int, seeds: int, base_accuracy: float, seed_sd: float, alpha: float, comparisons: int) -> None:
    wrong = {
        "n": n < 2,
        "seeds": seeds < 1,
        "base_accuracy": not 0 <= base_accuracy <= 1,
        "seed_sd": not 0 <= seed_sd < 0.5,
        "alpha": not 0 < alpha < 1,
        "comparisons": comparisons < 1,
    }
    for name, bad in wrong.items():
        if bad:
            raise UsageError(f"{name} is out of range", where="power")


def mcnemar_power(n: int, disagreement: float, difference: float, alpha: float) -> float:
    """Exact power of the exact McNemar test, summed over the number of discordant items."""
    if disagreement <= 0:
        return 0.0
    low, high = binom.ppf((1e-10, 1 - 1e-10), n, disagreement)
    discordant = np.arange(int(low), int(high) + 1)
    critical = binom.ppf(alpha / 2, discordant, 0.5)
    critical = np.where(binom.cdf(critical, discordant, 0.5) > alpha / 2, critical - 1, critical)
    share = min(1.0, (disagreement + abs(difference)) / (2 * disagreement))
    refused = binom.cdf(critical, discordant, share) + binom.sf(discordant - critical - 1, discordant, share)
    return float((binom.pmf(discordant, n, disagreement) * refused).sum())


def _mean_squares(seeds: int, expected: float) -> Floats:
    """Equally likely values [GRID] of a seed mean square with S - 1 degrees of freedom."""
    quantiles: Floats = chi2.ppf((np.arange(GRID) + 0.5) / GRID, seeds - 1)
    return expected * quantiles / (quantiles.mean() or 1.0)


def crossed_power(
    n: int, seeds: int, item_variance: float, noise: float, seed_sd: float, difference: float, alpha: float
) -> float:
    """Power of the crossed t test, averaged over the distribution of both seed mean squares.

    Args:
        n, seeds: N, and S for each method.
        item_variance: variance over items of the seed-averaged difference in correctness.
        noise: variance of the seed-by-item noise of each method.
        seed_sd: standard deviation over seeds of each method's accuracy.
        difference: true difference.
        alpha: two-sided.
    """
    item = item_variance / n
    square = _mean_squares(seeds, seed_sd**2 + noise / n) / seeds
    counted = np.asarray(noise / (n * seeds))
    terms = [SeedTerm(axis, counted, seeds - 1) for axis in (square[:, None], square[None, :])]
    variance, df = satterthwaite(np.asarray(item), terms, n)
    critical = t.isf(alpha / 2, df) * np.sqrt(variance)
    true_error = math.sqrt(item + 2 * seed_sd**2 / seeds)
    if true_error == 0:
        return float(difference != 0)
    above = norm.sf((critical - difference) / true_error)
    below = norm.cdf((-critical - difference) / true_error)
    return float((above + below).mean())


def _chance(
    n: int,
    seeds: int,
    disagreement: float,
    seed_disagreement: float | None,
    seed_sd: float,
    difference: float,
    alpha: float,
) -> float:
    """Power of the test that this many seeds lead to; splits the disagreements into variances."""
    if seeds == 1:
        return mcnemar_power(n, disagreement, difference, alpha)
    least = 2 * seed_sd**2
    between_seeds = least if seed_disagreement is None else max(seed_disagreement, least)
    noise = (between_seeds - least) / 2
    shared = max(0.0, disagreement - difference**2 - between_seeds)
    return crossed_power(n, seeds, shared + 2 * noise / seeds, noise, seed_sd, difference, alpha)


def power(
    n: int,
    seeds: int,
    base_accuracy: float,
    disagreement: float | None,
    seed_sd: float,
    difference: float,
    *,
    seed_disagreement: float | None = None,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> float:
    """Probability that :func:`~welltuned.stats.compare_pair` finds a true difference.

    Args:
        n: N, test items.
        seeds: S for each method. With one seed the claim is about two trained models and ``difference``
            is theirs, so ``seed_sd`` does not enter.
        base_accuracy: accuracy of the weaker method.
        disagreement: share of items on which exactly one of two models (one seed of each method) is
            right; None for independent errors, nearly the worst case.
        seed_sd: standard deviation over seeds of a method's accuracy, as a fraction, after an infinite
            test set (an observed standard deviation also holds the noise of the items).
        difference: true difference in accuracy, as a fraction.
        seed_disagreement: the same share for two seeds of one method. None takes the least that
            ``seed_sd`` allows: averaging over seeds then removes no item noise, and the power is a
            lower bound.
        alpha: error allowed over the family.
        comparisons: size of the family; each test is held to ``alpha / comparisons``, Holm's first step.

    Raises:
        UsageError: a value out of range, or accuracies and disagreement that exclude each other.
    """
    _check(n, seeds, base_accuracy, seed_sd, alpha, comparisons)
    better = base_accuracy + abs(difference)
    if better > 1:
        raise UsageError(f"base accuracy and difference add up to {better:.3f}, over 1", where="difference")
    if disagreement is None:
        disagreement = independent_disagreement(base_accuracy, better)
    allowed = disagreement_range(base_accuracy, better)
    if not allowed.lower - 1e-9 <= disagreement <= allowed.upper + 1e-9:
        raise UsageError(
            f"a disagreement of {disagreement:.3f} is impossible at these accuracies",
            where="disagreement",
            mend=f"choose one between {allowed.lower:.3f} and {allowed.upper:.3f}",
        )
    return _chance(n, seeds, disagreement, seed_disagreement, seed_sd, difference, alpha / comparisons)


def smallest_detectable(
    n: int,
    seeds: int,
    base_accuracy: float,
    disagreement: float | None = None,
    seed_sd: float = 0.0,
    *,
    seed_disagreement: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
) -> float:
    """The smallest true difference found with the given power; infinite if none is.

    Arguments as for :func:`power`. Where a difference forces more disagreement than given, the forced
    one is used; where it allows less, the allowed one.

    Raises:
        UsageError: a value out of range.
    """
    _check(n, seeds, base_accuracy, seed_sd, alpha, comparisons)
    if not alpha < power < 1:
        raise UsageError(f"a power of {power} is not between alpha and 1", where="power")

    def missing(difference: float) -> float:
        better = base_accuracy + difference
        allowed = disagreement_range(base_accuracy, better)
        wanted = independent_disagreement(base_accuracy, better) if disagreement is None else disagreement
        share = min(max(wanted, allowed.lower), allowed.upper)
        return power - _chance(n, seeds, share, seed_disagreement, seed_sd, difference, alpha / comparisons)

    top = 1 - base_accuracy
    return math.inf if missing(top) > 0 else float(brentq(missing, 0.0, top, xtol=1e-6))


@dataclass(frozen=True)
class Design:
    """A comparison before it is made; the defaults are those of the simulated world in docs/statistics.md.

    Attributes are those of :func:`power`. They are assumptions until something was measured.
    """

    n: int
    seeds: int = 1
    base_accuracy: float = 0.80
    disagreement: float | None = 0.14
    seed_sd: float = 0.01
    seed_disagreement: float | None = 0.11
    comparisons: int = 1

    def power(self, difference: float) -> float:
        """Chance to find this true difference; a disagreement that it rules out is moved to the nearest it allows."""
        allowed = disagreement_range(self.base_accuracy, self.base_accuracy + difference)
        share = self.disagreement
        if share is not None:
            share = min(max(share, allowed.lower), allowed.upper)
        return power(
            self.n, self.seeds, self.base_accuracy, share, self.seed_sd, difference,
            seed_disagreement=self.seed_disagreement, comparisons=self.comparisons,
        )  # fmt: skip

    def smallest(self, chance: float = 0.8) -> float | None:
        """The smallest true difference found with this chance; None if there is none."""
        found = smallest_detectable(
            self.n, self.seeds, self.base_accuracy, self.disagreement, self.seed_sd,
            seed_disagreement=self.seed_disagreement, power=chance, comparisons=self.comparisons,
        )  # fmt: skip
        return found if math.isfinite(found) else None

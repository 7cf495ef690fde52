"""Power against enumeration, known limits and monotonicity; against simulation in test_promises.py."""

from __future__ import annotations

import itertools
import math

import pytest
from scipy.stats import binomtest, multinomial, norm

from welltuned.errors import UsageError
from welltuned.stats import power, smallest_detectable
from welltuned.stats.power import crossed_power, mcnemar_power


def enumerated(n, disagreement, difference, alpha):
    """Power of the exact McNemar test over every table of n items."""
    cells = [(disagreement + difference) / 2, (disagreement - difference) / 2, 1 - disagreement]
    total = 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if 0 < b + c <= n and binomtest(b, b + c).pvalue <= alpha:
            total += multinomial.pmf([b, c, n - b - c], n, cells)
    return total


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
@pytest.mark.parametrize(("disagreement", "difference"), [(0.5, 0.3), (0.3, 0.3), (0.4, 0.0)])
def test_mcnemar_power_is_the_sum_over_all_tables(disagreement, difference, alpha):
    expected = enumerated(24, disagreement, difference, alpha)
    assert mcnemar_power(24, disagreement, difference, alpha) == pytest.approx(expected, abs=1e-8)


def test_models_that_never_disagree_are_never_told_apart():
    assert mcnemar_power(100, 0.0, 0.0, 0.05) == 0.0


def test_without_spread_over_seeds_and_noise_the_crossed_power_is_that_of_a_z_test():
    n, variance, difference = 3000, 0.1, 0.02
    shift = difference / math.sqrt(variance / n)
    expected = norm.sf(1.96 - shift) + norm.cdf(-1.96 - shift)
    assert crossed_power(n, 3, variance, 0.0, 0.0, difference, 0.05) == pytest.approx(expected, abs=0.002)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_power_without_a_difference_is_about_alpha(seeds):
    assert power(3270, seeds, 0.8, 0.15, 0.01, 0.0, seed_disagreement=0.11) == pytest.approx(0.05, abs=0.02)


BASE = {"n": 1000, "seeds": 3, "base_accuracy": 0.8, "disagreement": 0.15, "seed_sd": 0.01, "difference": 0.03}


@pytest.mark.parametrize(
    ("name", "weak", "strong"),
    [
        ("n", 500, 2000),
        ("seeds", 2, 5),
        ("seed_sd", 0.02, 0.005),
        ("difference", 0.02, 0.05),
        ("disagreement", 0.25, 0.10),
        ("comparisons", 6, 1),
        ("alpha", 0.01, 0.10),
    ],
)
def test_power_grows_as_the_design_gets_better(name, weak, strong):
    assert power(**{**BASE, name: weak}) < power(**{**BASE, name: strong})


def test_averaging_over_seeds_helps_where_they_disagree():
    assert power(**{**BASE, "seed_sd": 0.002, "seed_disagreement": 0.12}) > power(**{**BASE, "seed_sd": 0.002})


def test_independent_errors_are_assumed_where_no_disagreement_is_given():
    assumed = 0.8 * (1 - 0.83) + 0.83 * (1 - 0.8)
    assert power(**{**BASE, "disagreement": None}) == power(**{**BASE, "disagreement": assumed})


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
@pytest.mark.parametrize("comparisons", [1, 6])
def test_the_smallest_detectable_difference_has_the_power_asked_for(seeds, comparisons):
    design = {"n": 2000, "seeds": seeds, "base_accuracy": 0.8, "disagreement": 0.2, "seed_sd": 0.004}
    found = smallest_detectable(**design, power=0.7, comparisons=comparisons)
    assert power(**design, difference=found, comparisons=comparisons) == pytest.approx(0.7, abs=0.005)


def test_nothing_can_be_detected_where_there_is_no_room():
    assert smallest_detectable(50, 1, 0.99) == math.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 1},
        {"seeds": 0},
        {"base_accuracy": 1.2},
        {"seed_sd": -0.1},
        {"difference": 0.3},
        {"disagreement": 0.01},
        {"disagreement": 0.9},
        {"comparisons": 0},
        {"alpha": 0.0},
    ],
)
def test_impossible_designs_are_refused(wrong):
    with pytest.raises(UsageError):
        power(**{**BASE, **wrong})


def test_a_power_below_alpha_is_refused():
    with pytest.raises(UsageError):
        smallest_detectable(100, 1, 0.8, power=0.01)

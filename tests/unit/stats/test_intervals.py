"""Intervals against published examples, brute-force references and properties they must have."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from welltuned.errors import DataError, UsageError
from welltuned.stats import accuracy_summary, tango, wilson
from welltuned.stats.intervals import tango_statistic

quick = settings(max_examples=25, deadline=None)


@pytest.mark.parametrize(
    ("k", "n", "lower", "upper"),
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_reproduces_published_examples(k, n, lower, upper):
    assert wilson(k, n) == pytest.approx((lower, upper), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
@quick
def test_wilson_agrees_with_scipy(counts, level):
    k, n = counts
    reference = binomtest(k, n).proportion_ci(level, method="wilson")
    assert wilson(k, n, level) == pytest.approx((reference.low, reference.high), abs=1e-9)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_refuses_what_is_no_proportion(k, n):
    with pytest.raises(UsageError):
        wilson(k, n)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_levels_outside_the_unit_interval_are_refused(level):
    with pytest.raises(UsageError):
        wilson(3, 5, level)


@pytest.mark.parametrize(
    ("only_a", "only_b", "n", "level", "expected"),
    # R, PropCIs::scoreci.mp.
    [(60, 20, 1000, 0.95, (0.0231, 0.0584)), (28, 25, 618, 0.90, (-0.0148, 0.0247))],
)
def test_tango_reproduces_the_r_package(only_a, only_b, n, level, expected):
    assert tango(only_a, only_b, n, level) == pytest.approx(expected, abs=5e-5)


def restricted_score(only_a, only_b, n, delta):
    """The same statistic with the likelihood under H0 maximised numerically."""

    def loss(q):  # q = P(only B right), P(only A right) = q + delta
        cells = np.array([q + delta, q, 1 - 2 * q - delta])
        return -np.array([only_a, only_b, n - only_a - only_b]) @ np.log(np.maximum(cells, 1e-300))

    q = minimize_scalar(loss, bounds=(max(0, -delta), (1 - delta) / 2), method="bounded", options={"xatol": 1e-12}).x
    return ((only_a - only_b) / n - delta) / math.sqrt((2 * q + delta - delta**2) / n)


@pytest.mark.parametrize("delta", [-0.3, -0.02, 0.0, 0.05, 0.4])
@pytest.mark.parametrize("counts", [(12, 2, 50), (3, 30, 200), (7, 7, 20)])
def test_tango_statistic_is_the_score_at_the_restricted_maximum(counts, delta):
    assert tango_statistic(*counts, delta) == pytest.approx(restricted_score(*counts, delta), rel=1e-4)


def test_tango_statistic_at_zero_is_mcnemars():
    assert tango_statistic(30, 12, 400, 0.0) ** 2 == pytest.approx((30 - 12) ** 2 / (30 + 12))


paired_counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 300)).filter(sum)


@given(paired_counts)
@quick
def test_tango_swaps_signs_with_the_methods_and_holds_the_estimate(counts):
    b, c, same = counts
    n = b + c + same
    interval = tango(b, c, n)
    assert tango(c, b, n) == pytest.approx((-interval.upper, -interval.lower), abs=1e-9)
    assert interval.contains((b - c) / n)
    assert -1 <= interval.lower <= interval.upper <= 1


def test_tango_without_discordant_items_has_its_closed_form():
    z2 = 1.959963984540054**2
    assert tango(0, 0, 100) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)), abs=1e-9)


def test_tango_refuses_impossible_counts():
    with pytest.raises(UsageError):
        tango(6, 5, 10)


def test_summary_of_one_seed_is_wilsons_interval():
    correct = np.arange(100) < 83
    summary = accuracy_summary(correct)
    assert summary.interval == pytest.approx(wilson(83, 100))
    assert (summary.mean, summary.n, summary.seeds) == (0.83, 100, 1)
    assert summary.scope == "these trained models"
    assert math.isnan(summary.seed_sd)


def test_summary_of_equal_seeds_is_as_wide_as_one_seed():
    row = np.arange(1000) < 800
    assert accuracy_summary(np.tile(row, (5, 1))).interval == pytest.approx(wilson(800, 1000), abs=5e-5)


def test_summary_widens_when_seeds_differ():
    n = 1000
    alike = np.stack([np.arange(n) < 800] * 3)
    apart = np.stack([np.arange(n) < k for k in (760, 800, 840)])
    narrow, wide = accuracy_summary(alike).interval, accuracy_summary(apart).interval
    assert wide.upper - wide.lower > 2 * (narrow.upper - narrow.lower)
    assert accuracy_summary(apart).seed_sd == pytest.approx(0.04)


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("seeds", [1, 3])
def test_summary_of_a_perfect_or_hopeless_method_stays_a_fraction(value, seeds):
    interval = accuracy_summary(np.full((seeds, 50), value)).interval
    assert interval.contains(value)
    assert 0.03 < interval.upper - interval.lower < 0.15


@pytest.mark.parametrize("wrong", [np.zeros((2, 3, 4)), np.zeros((0, 5)), np.zeros((3, 1)), [[0.0, 0.5, 1.0]]])
def test_what_is_no_table_of_outcomes_is_refused(wrong):
    with pytest.raises(DataError):
        accuracy_summary(wrong)

"""Paired comparison: the exact test, the crossed t test, and properties of both."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, t

from welltuned.errors import DataError, UsageError
from welltuned.stats import compare_pair, tango
from welltuned.stats.paired import compare_batch, mcnemar_p
from welltuned.stats.variance import MIXED, moments

quick = settings(max_examples=25, deadline=None)


def pair_with(only_a, only_b, both, neither):
    a = np.repeat([1, 0, 1, 0], [only_a, only_b, both, neither]).astype(bool)
    b = np.repeat([0, 1, 1, 0], [only_a, only_b, both, neither]).astype(bool)
    return a[None], b[None]


@st.composite
def tables(draw, max_seeds=4):
    n = draw(st.integers(2, 40))
    shapes = [(draw(st.integers(1, max_seeds)), n) for _ in range(2)]
    return tuple(draw(arrays(bool, shape)) for shape in shapes)


@given(st.integers(0, 80), st.integers(0, 80))
@quick
def test_mcnemar_is_the_binomial_test_of_a_fair_coin(b, c):
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar_p(b, c) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_on_a_textbook_table():
    # Approval of a prime minister, 1,600 voters asked twice: 150 and 86 changed their minds (Agresti).
    result = compare_pair(*pair_with(150, 86, 794, 570))
    assert result.difference == pytest.approx(0.04)
    assert result.test == "exact McNemar"
    assert result.discordant == (150, 86)
    assert result.p == pytest.approx(3.7e-5, rel=0.02)
    assert result.interval == pytest.approx((0.0212, 0.0588), abs=5e-4)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 200))
@quick
def test_exact_test_and_interval_never_contradict_each_other(b, c, both):
    result = compare_pair(*pair_with(b, c, both, 1))
    assert result.interval.contains(0) == (result.p > 0.05)
    plain = tango(b, c, b + c + both + 1)
    assert result.interval.lower <= plain.lower
    assert result.interval.upper >= plain.upper


def test_several_seeds_against_the_formula_written_out():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 80)) < 0.8, rng.random((5, 80)) < 0.6
    result = compare_pair(a, b)
    n, parts, noise = 80, [], 0.0
    for x in (a.astype(float), b.astype(float)):
        seeds = len(x)
        residual = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
        noise += (residual**2).sum() / ((seeds - 1) * (n - 1)) / (n * seeds)
        parts.append((x.mean(1).var(ddof=1) / seeds, seeds - 1))
    item = (a.mean(0) - b.mean(0)).var(ddof=1) / n
    seed = max(0.0, sum(square for square, _ in parts) - noise)
    variance = item + seed
    spread = item**2 / (n - 1) + sum(square**2 / df for square, df in parts)
    share = seed / variance
    df = max(2, 1 / (spread / variance**2 + MIXED * share**2 * (1 - share) / 2))
    half = t.isf(0.025, df) * math.sqrt(variance)
    assert result.difference == pytest.approx(a.mean() - b.mean())
    assert result.standard_error == pytest.approx(math.sqrt(variance))
    assert result.df == pytest.approx(df)
    assert result.interval == pytest.approx((result.difference - half, result.difference + half))
    assert result.scope == "the methods"
    assert result.seeds == (3, 5)


@given(tables())
@quick
def test_swapping_the_methods_swaps_the_answer(pair):
    forth, back = compare_pair(*pair), compare_pair(*pair[::-1])
    assert back.difference == pytest.approx(-forth.difference, abs=1e-12)
    assert back.p == pytest.approx(forth.p)
    assert back.interval == pytest.approx((-forth.interval.upper, -forth.interval.lower), abs=1e-9)
    assert back.seeds == forth.seeds[::-1]


@given(tables(), st.randoms(use_true_random=False))
@quick
def test_order_of_items_and_of_seeds_does_not_matter(pair, random):
    a, b = pair
    items = random.sample(range(a.shape[1]), a.shape[1])
    seeds = random.sample(range(a.shape[0]), a.shape[0])
    before, after = compare_pair(a, b), compare_pair(a[seeds][:, items], b[:, items])
    assert after.p == pytest.approx(before.p, rel=1e-6)
    assert after.interval == pytest.approx(before.interval, abs=1e-9)


@given(tables())
@quick
def test_interval_holds_the_difference_and_agrees_with_p(pair):
    result = compare_pair(*pair)
    assert result.interval.contains(result.difference)
    assert 0 <= result.p <= 1
    assert -1 <= result.interval.lower <= result.interval.upper <= 1
    if abs(result.p - 0.05) > 1e-6:
        assert result.interval.contains(0) == (result.p > 0.05)


@given(tables(), st.floats(0.5, 0.9))
@quick
def test_a_higher_level_is_wider(pair, level):
    result = compare_pair(*pair, level)
    wider = result.interval_at(level + 0.09)
    assert result.interval_at(level) == result.interval
    assert wider.lower <= result.interval.lower
    assert wider.upper >= result.interval.upper


@given(arrays(bool, (2, 24)))
@quick
def test_more_items_of_the_same_kind_narrow_the_interval(pair):
    few, many = compare_pair(*pair), compare_pair(*np.tile(pair, (1, 4)))
    assert many.difference == pytest.approx(few.difference)
    assert many.interval.upper - many.interval.lower < few.interval.upper - few.interval.lower


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_equal_predictions_are_no_difference_with_an_interval_of_some_width(seeds):
    table = np.tile(np.arange(100) < 62, (seeds, 1))
    result = compare_pair(table, table)
    assert (result.difference, result.p) == (0.0, 1.0)
    assert 0.005 < result.interval.upper < 0.04
    assert result.interval.lower == pytest.approx(-result.interval.upper)


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_total_victory_is_found(seeds):
    result = compare_pair(np.ones((seeds, 50)), np.zeros((seeds, 50)))
    assert result.difference == 1
    assert result.p < 1e-6
    assert 0.85 < result.interval.lower < 1


def test_seeds_that_differ_make_the_claim_about_methods_weaker():
    n = 1000
    a = np.stack([np.arange(n) < k for k in (800, 850, 900)])
    b = np.stack([np.arange(n) < k for k in (780, 830, 880)])
    assert compare_pair(a[1], b[1]).p < 1e-5
    assert compare_pair(a, b).p > 0.2


def test_a_single_seed_borrows_the_spread_of_the_other_method_unless_deterministic():
    rng = np.random.default_rng(5)
    accuracies = np.array([0.7, 0.8, 0.9])[:, None]
    a, b = rng.random((3, 400)) < accuracies, rng.random((1, 400)) < 0.8
    borrowed, fixed = compare_pair(a, b), compare_pair(a, b, deterministic_b=True)
    spread = moments(a)
    assert borrowed.scope == fixed.scope == "the methods"
    extra = borrowed.standard_error**2 - fixed.standard_error**2
    assert extra == pytest.approx(float(spread.between - spread.noise))


def test_two_deterministic_methods_are_tested_exactly_and_speak_for_themselves():
    a, b = pair_with(9, 2, 30, 5)
    result = compare_pair(a, b, deterministic_a=True, deterministic_b=True)
    assert (result.test, result.scope) == ("exact McNemar", "the methods")
    assert compare_pair(a, b).scope == "these trained models"


def test_a_batch_is_its_members_one_by_one():
    rng = np.random.default_rng(6)
    for seeds in (1, 3):
        a, b = rng.random((2, 4, seeds, 60)) < 0.7
        batch = compare_batch(a, b)
        lower, upper = batch.bounds(0.9)
        for row in range(4):
            alone = compare_pair(a[row], b[row], 0.9)
            assert batch.p[row] == pytest.approx(alone.p)
            assert (lower[row], upper[row]) == pytest.approx(alone.interval)


def test_methods_tested_on_different_items_are_refused():
    with pytest.raises(DataError, match="same items"):
        compare_pair(np.ones((1, 5)), np.ones((1, 6)))


def test_a_deterministic_method_with_seeds_is_refused():
    with pytest.raises(UsageError, match="deterministic"):
        compare_pair(np.ones((2, 5)), np.ones((1, 5)), deterministic_a=True)

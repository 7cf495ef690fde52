"""Margin tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.errors import UsageError
from welltuned.stats import compare_pair, equivalence, noninferiority

quick = settings(max_examples=25, deadline=None)


def result_of(seed, seeds, gap=0.0, n=400):
    rng = np.random.default_rng(seed)
    hard = rng.random(n)
    a, b = (hard + rng.normal(0, 0.08, (seeds, n)) < 0.8 + shift for shift in (gap, 0.0))
    return compare_pair(a, b)


@given(st.integers(0, 500), st.sampled_from([1, 2, 3]), st.floats(0.005, 0.2), st.sampled_from([0.01, 0.05]))
@quick
def test_equivalence_is_shown_just_where_the_interval_lies_within_the_margin(seed, seeds, margin, alpha):
    test = equivalence(result_of(seed, seeds), margin, alpha)
    if abs(test.p - alpha) > 1e-6:
        assert test.shown == (-margin < test.interval.lower and test.interval.upper < margin)


@given(st.integers(0, 200), st.sampled_from([1, 3]), st.floats(0.005, 0.1))
@quick
def test_equivalence_is_noninferiority_both_ways(seed, seeds, margin):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, seeds, 100)) < 0.8
    both = (noninferiority(compare_pair(*pair), margin).p for pair in ((a, b), (b, a)))
    assert equivalence(compare_pair(a, b), margin).p == pytest.approx(max(both), abs=1e-9)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_wider_margin_is_easier(seeds):
    result = result_of(0, seeds)
    p = [equivalence(result, margin).p for margin in (0.01, 0.03, 0.1)]
    assert p == sorted(p, reverse=True)
    assert p[0] > 0.05 > p[-1]


def test_much_better_is_not_inferior_but_not_equivalent():
    result = result_of(1, 3, gap=0.15, n=2000)
    assert noninferiority(result, 0.02).shown
    assert not equivalence(result, 0.02).shown
    assert noninferiority(result, 0.02).claim == "A is less than 2.0 points worse than B"


@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_predictions_on_many_items_are_equivalent(seeds):
    table = np.tile(np.arange(2000) < 1500, (seeds, 1))
    assert equivalence(compare_pair(table, table), 0.01).shown


@pytest.mark.parametrize(("margin", "alpha"), [(0.0, 0.05), (-0.1, 0.05), (2.0, 0.05), (0.1, 0.5), (0.1, 0.0)])
def test_margins_and_errors_out_of_range_are_refused(margin, alpha):
    with pytest.raises(UsageError):
        equivalence(result_of(0, 1), margin, alpha)

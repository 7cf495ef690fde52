"""Holm's correction and simultaneous intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.errors import DataError
from welltuned.stats import compare_pair, holm, simultaneous

quick = settings(max_examples=25, deadline=None)

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_holm_on_a_worked_example():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def holm_by_steps(p, alpha):
    """The procedure as Holm tells it: compare the smallest with alpha / m, the next with alpha / (m - 1)."""
    refused = set()
    for step, which in enumerate(np.argsort(p, kind="stable")):
        if p[which] * (len(p) - step) > alpha:
            break
        refused.add(int(which))
    return refused


@given(p_values, st.floats(0.001, 0.3))
@quick
def test_adjusted_values_decide_as_the_steps_do(p, alpha):
    assert set(np.flatnonzero(holm(p) <= alpha).tolist()) == holm_by_steps(p, alpha)


@given(p_values)
@quick
def test_holm_lies_between_the_raw_values_and_bonferroni(p):
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, np.multiply(p, len(p)))).all()


def test_holm_works_row_by_row():
    p = np.random.default_rng(0).random((5, 6))
    assert np.array_equal(holm(p), np.stack([holm(row) for row in p]))


def test_holm_of_nothing_is_nothing():
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(DataError):
        holm([0.5, bad])


def test_simultaneous_intervals_are_bonferronis_and_agree_with_holm():
    rng = np.random.default_rng(1)
    tables = [rng.random((3, 500)) < accuracy for accuracy in (0.6, 0.68, 0.72, 0.9)]
    results = [compare_pair(a, b) for i, a in enumerate(tables) for b in tables[i + 1 :]]
    intervals = simultaneous(results)
    adjusted = holm([result.p for result in results])
    assert 0 < (adjusted <= 0.05).sum() < len(results)
    for result, interval, p in zip(results, intervals, adjusted, strict=True):
        wide = result.interval_at(1 - 0.05 / 6)
        assert wide.lower <= interval.lower <= interval.upper <= wide.upper
        if p > 0.05:
            assert interval == wide
            assert interval.lower < 0 < interval.upper
        else:
            assert interval.lower >= 0 or interval.upper <= 0


def test_holm_cuts_an_interval_that_bonferroni_leaves_across_zero():
    def pair(b, c):
        return compare_pair(np.arange(1000) < b, (np.arange(1000) >= b) & (np.arange(1000) < b + c))

    strong, weak = pair(80, 20), pair(51, 31)
    assert 0.025 < weak.p < 0.05
    assert weak.interval_at(0.975).lower < 0
    assert simultaneous([strong, weak])[1].lower == 0
    assert simultaneous([weak, weak])[1].lower < 0


def test_no_results_have_no_intervals():
    assert simultaneous([]) == ()

"""Expected best dev score against enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.errors import DataError, UsageError
from welltuned.stats import expected_best

quick = settings(max_examples=25, deadline=None)

some_scores = st.lists(st.floats(0, 1), min_size=1, max_size=5)


@given(some_scores, st.data())
@quick
def test_it_is_the_mean_maximum_of_every_draw(values, data):
    k = data.draw(st.integers(1, len(values)))
    every = [max(draw) for draw in itertools.product(values, repeat=k)]
    assert expected_best(values, k, resamples=1).value == pytest.approx(np.mean(every))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
@quick
def test_it_starts_at_the_mean_and_grows_towards_the_maximum(values):
    curve = [expected_best(values, k, resamples=1).value for k in range(1, len(values) + 1)]
    assert curve[0] == pytest.approx(np.mean(values))
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(curve))
    assert curve[-1] <= max(values) + 1e-12


def test_the_interval_covers_the_truth_for_uniform_scores():
    # The maximum of k uniform numbers has mean k / (k + 1).
    rng = np.random.default_rng(0)
    found = [expected_best(rng.random(60), 5, resamples=400) for _ in range(150)]
    assert 0.88 <= np.mean([best.interval.contains(5 / 6) for best in found]) <= 0.99


def test_the_bootstrap_repeats_and_its_seed_matters():
    values = np.random.default_rng(1).random(10)
    assert expected_best(values, 3) == expected_best(values, 3)
    assert expected_best(values, 3) != expected_best(values, 3, seed=1)


@pytest.mark.parametrize("k", [0, 4])
def test_trials_that_were_not_made_are_refused(k):
    with pytest.raises(UsageError):
        expected_best([0.1, 0.2, 0.3], k)


@pytest.mark.parametrize("values", [[], [0.1, float("nan")], [[0.1]]])
def test_scores_that_are_none_are_refused(values):
    with pytest.raises(DataError):
        expected_best(values, 1)

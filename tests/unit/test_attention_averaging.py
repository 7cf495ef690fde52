import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.attention import averaging, weights
from welltuned.errors import UsageError

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
keys = st.integers(2, 12)
strengths = st.floats(0, 60)


def output(rows: torch.Tensor, values: torch.Tensor, query: torch.Tensor, scale: float) -> torch.Tensor:
    return (rows @ query / scale).softmax(0) @ values


@quick
@given(seeds, keys, strengths, st.booleans())
def test_the_error_is_its_closed_form_as_a_vector(seed, n, c, scaled):
    table = averaging.random_table(n, 12, torch.Generator().manual_seed(seed))
    scale = math.sqrt(12) if scaled else 1.0
    a, b = seed % n, (seed // n + 1 + seed % n) % n
    if a == b:
        b = (a + 1) % n
    out = output(table.keys, table.values, c * (table.keys[a] + table.keys[b]), scale)
    error = out - (table.values[a] + table.values[b]) / 2
    closed = averaging.leak(c, n, scale=scale) * averaging.gap_vector(table.values, a, b)
    torch.testing.assert_close(error, closed, rtol=0, atol=1e-10)


@quick
@given(keys, strengths)
def test_the_leak_is_the_fraction_of_the_docstring(n, c):
    assert averaging.leak(c, n) == pytest.approx((n - 2) / (2 * math.exp(c) + n - 2))


@quick
@given(seeds, st.integers(3, 12), st.floats(1e-6, 0.9), st.booleans())
def test_the_strength_for_eps_reaches_eps_and_no_less(seed, n, share, scaled):
    table = averaging.random_table(n, 12, torch.Generator().manual_seed(seed))
    gap = float(averaging.gap_vector(table.values, 0, 1).norm())
    scale = math.sqrt(12) if scaled else 1.0
    c = averaging.strength_for(share * gap, n, gap, scale=scale)
    error = averaging.relative_error(table, c, scaled=scaled)
    assert error == pytest.approx(share, rel=1e-9)
    assert averaging.relative_error(table, c - 0.1, scaled=scaled) > share


@quick
@given(seeds, strengths)
def test_two_keys_alone_are_averaged_exactly_by_any_strength(seed, c):
    table = averaging.random_table(2, 12, torch.Generator().manual_seed(seed))
    assert averaging.relative_error(table, c) < 1e-13
    assert averaging.strength_for(1e-9, 2, 0.0) == -math.inf


@quick
@given(st.integers(3, 12))
def test_a_half_leaves_more_than_a_fifth_on_other_keys(n):
    assert averaging.leak(0.5, n) > 0.2


@quick
@given(seeds, st.integers(2, 10), st.floats(1, 30))
def test_a_balanced_query_averages_over_keys_that_are_not_orthogonal(seed, n, c):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 12, generator=generator, dtype=torch.float64)
    score = rows @ averaging.balanced_query(rows, 0, 1, c)
    wanted = torch.zeros(n, dtype=torch.float64)
    wanted[:2] = c
    torch.testing.assert_close(score, wanted, rtol=0, atol=1e-9)


def test_a_plain_sum_of_unequal_keys_does_not_average():
    rows = torch.eye(4, dtype=torch.float64)
    rows[1] *= 1.5
    plain = weights.softmax(rows @ (20 * (rows[0] + rows[1])))
    balanced = weights.softmax(rows @ averaging.balanced_query(rows, 0, 1, 20.0))
    assert plain[1] > 0.999
    torch.testing.assert_close(balanced[:2], torch.full((2,), 0.5, dtype=torch.float64), rtol=0, atol=1e-8)


@quick
@given(seeds, keys)
def test_for_orthonormal_keys_the_balanced_query_is_the_scaled_sum(seed, n):
    table = averaging.random_table(n, 12, torch.Generator().manual_seed(seed))
    torch.testing.assert_close(averaging.balanced_query(table.keys, 0, 1, 3.0), 3 * table.query)


@quick
@given(seeds, st.integers(3, 10), st.floats(0.1, 30), st.floats(1e-5, 0.9), st.booleans())
def test_a_table_of_one_s_own_has_the_closed_form(seed, n, c, share, scaled):
    table = averaging.random_table(n, 12, torch.Generator().manual_seed(seed))
    a, b = seed % n, (seed + 1) % n
    gap = float(averaging.gap_vector(table.values, a, b).norm())
    own = averaging.average(table.keys, table.values, (a, b), c, eps=share * gap, scaled=scaled)
    scale = math.sqrt(12) if scaled else 1.0
    assert own.orthonormal
    assert own.closed == pytest.approx((n - 2) / (2 * math.exp(c / scale) + n - 2) * gap)
    for measured in (own.error, own.balanced):
        assert measured == pytest.approx(own.closed, rel=1e-6, abs=1e-12)
    if own.needed > 0:
        assert own.reached == pytest.approx(own.eps, rel=1e-6)
    assert own.half == pytest.approx(averaging.leak(0.5, n, scale=scale) * gap)
    assert own.half > 0.2 * gap
    torch.testing.assert_close(own.path, own.closed_path, rtol=1e-6, atol=1e-12)


@quick
@given(seeds, st.integers(3, 8), st.floats(0.5, 20))
def test_keys_that_are_only_independent_have_it_with_the_balanced_query(seed, n, c):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 12, generator=generator, dtype=torch.float64)
    values = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    own = averaging.average(rows, values, (0, n - 1), c)
    assert not own.orthonormal
    assert own.balanced == pytest.approx(own.closed, rel=1e-6, abs=1e-10)
    assert len(averaging.figure_of(own).axes) == 1


@quick
@given(st.floats(1.01, 3), st.floats(0.1, 20))
def test_a_longer_key_outweighs_the_other_more_the_larger_c_is(longer, c):
    rows = torch.eye(4, dtype=torch.float64)
    rows[1] *= longer
    weight = averaging.average(rows, rows, (0, 1), c).weights
    assert float((weight[1] / weight[0]).log()) == pytest.approx(c * (longer**2 - 1), rel=1e-9)


@quick
@given(seeds, st.integers(2, 12), strengths)
def test_the_scale_asks_for_root_h_times_the_strength(seed, n, c):
    table = averaging.random_table(n, 12, torch.Generator().manual_seed(seed))
    plain = averaging.average(table.keys, table.values, (0, 1), c)
    scaled = averaging.average(table.keys, table.values, (0, 1), c * math.sqrt(12), scaled=True)
    torch.testing.assert_close(scaled.weights, plain.weights)


def test_dependent_keys_have_no_balanced_query_and_two_keys_no_error():
    one = torch.ones(3, 2, dtype=torch.float64)
    dependent = averaging.average(one, one, (0, 1))
    assert math.isnan(dependent.balanced)
    json.dumps(dependent.to_dict(), allow_nan=False)
    alone = averaging.average(torch.eye(2).double(), torch.eye(2).double(), (0, 1))
    assert (alone.needed, alone.closed) == (-math.inf, 0)
    for own in (dependent, alone):
        assert len(averaging.figure_of(own).axes) == 1


@pytest.mark.parametrize("pair", [(0, 0), (0, 4), (-1, 0)])
def test_pairs_that_are_no_two_rows_are_refused(pair):
    with pytest.raises(UsageError, match="not two rows"):
        averaging.average(torch.eye(4).double(), torch.eye(4).double(), pair)


def test_measured_errors_equal_predicted_ones():
    result = averaging.measure(width=16, sizes=(2, 3, 16))
    predicted = result.predicted.clone()
    torch.testing.assert_close(result.measured, predicted, rtol=0, atol=1e-10)
    json.dumps(result.to_dict(), allow_nan=False)
    assert len(averaging.figure(result).axes) == 2


def test_impossible_requests_are_refused():
    with pytest.raises(UsageError, match="between 2 and the width 8"):
        averaging.measure(sizes=(9,), width=8)
    with pytest.raises(UsageError, match="eps is 0"):
        averaging.strength_for(0, 4, 1.0)
    with pytest.raises(UsageError, match="linearly dependent"):
        averaging.balanced_query(torch.ones(2, 3, dtype=torch.float64), 0, 1, 1.0)

import json
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from welltuned.attention import copying, lookup, weights
from welltuned.errors import UsageError

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
keys = st.integers(2, 40)
margins = st.floats(0.01, 30)


def copy_error(table: lookup.Lookup) -> tuple[float, float]:
    """Error of copying the first value, and the distance to the farthest other one."""
    weight = (table.keys @ table.query).softmax(0)
    spread = (table.values - table.values[0]).norm(dim=1).max()
    return float((weight @ table.values - table.values[0]).norm()), float(spread)


@quick
@given(seeds, keys, margins)
def test_random_tables_stay_within_the_bound(seed, n, margin):
    table = copying.random_table(n, margin, torch.Generator().manual_seed(seed))
    score = table.keys @ table.query
    assert float(score[0] - score[1:].max()) == pytest.approx(margin, abs=1e-9)
    error, spread = copy_error(table)
    assert error <= copying.error_bound(margin - 1e-9, n, spread) + 1e-13 * spread


@quick
@given(seeds, keys)
def test_the_bound_holds_for_any_target_even_one_that_does_not_lead(seed, n):
    generator = torch.Generator().manual_seed(seed)
    score, values = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ((n,), (n, 3)))
    for j in range(n):
        margin = float((score[j] - score)[torch.arange(n) != j].min())
        spread = float((values - values[j]).norm(dim=1).max())
        error = float((score.softmax(0) @ values - values[j]).norm())
        assert error <= copying.error_bound(margin, n, spread) * (1 + 1e-12)


@quick
@given(keys, margins)
def test_the_worst_table_meets_the_bound(n, margin):
    error, spread = copy_error(copying.worst_table(n, margin))
    assert error == pytest.approx(copying.error_bound(margin, n, spread), rel=1e-10)


@quick
@given(keys, st.floats(1e-8, 0.99), st.floats(0.1, 100))
def test_the_margin_for_eps_is_enough_and_no_larger_than_needed(n, share, spread):
    eps = share * spread
    margin = copying.margin_for(eps, n, spread)
    assert copying.error_bound(margin, n, spread) == pytest.approx(eps, rel=1e-9)
    assert copying.error_bound(margin - 0.01, n, spread) > eps


@quick
@given(seeds, keys, st.floats(1e-6, 0.5))
def test_a_random_table_with_that_margin_is_copied_within_eps(seed, n, share):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n, 3, generator=generator, dtype=torch.float64)
    spread = float((values - values[0]).norm(dim=1).max())
    assume(spread > 1e-3)
    margin = copying.margin_for(share * spread, n, spread)
    score = -margin - torch.rand(n, generator=generator, dtype=torch.float64)
    score[0] = 0
    error = float((weights.softmax(score) @ (values - values[0])).norm())
    assert error <= share * spread * (1 + 1e-12)


def test_margins_that_do_not_matter():
    assert copying.margin_for(0.1, 1, 5.0) == -math.inf
    assert copying.margin_for(5.0, 10, 5.0) == -math.inf
    with pytest.raises(UsageError, match="eps is 0"):
        copying.margin_for(0, 10, 5.0)


def test_measured_errors_agree_with_the_bound():
    result = copying.measure(sizes=(2, 30), trials=5)
    torch.testing.assert_close(result.worst, result.bound, rtol=1e-10, atol=0)
    assert (result.random <= result.bound * (1 + 1e-9)).all()
    torch.testing.assert_close(result.reached, torch.ones_like(result.reached), rtol=1e-10, atol=0)
    json.dumps(result.to_dict(), allow_nan=False)
    assert len(copying.figure(result).axes) == 2


def test_one_key_is_refused():
    with pytest.raises(UsageError, match="two or more keys"):
        copying.measure(sizes=(1,))

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


def any_table(seed: int, n: int, temperature: float = 1.0) -> lookup.Lookup:
    generator = torch.Generator().manual_seed(seed)
    query, rows, values = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ((4,), (n, 4), (n, 3)))
    return lookup.Lookup(query, rows, values, temperature)


@quick
@given(seeds, keys, st.floats(0.1, 10), st.floats(1e-6, 0.5))
def test_a_query_stretched_as_told_copies_any_leading_value_within_eps(seed, n, temperature, share):
    table = any_table(seed, n, temperature)
    spread = copying.copy(table).spread
    own = copying.copy(table, eps=share * spread)
    assume(own.margin > 1e-3)
    score = table.keys @ table.query / temperature
    out = score.softmax(0) @ table.values
    assert own.margin == pytest.approx(float(score.topk(2).values.diff().abs()), rel=1e-9, abs=1e-12)
    assert own.error == pytest.approx(float((out - table.values[own.target]).norm()), rel=1e-6, abs=1e-12)
    assert own.error <= own.bound * (1 + 1e-12)
    assert own.margin * own.stretch >= own.needed * (1 - 1e-12)
    longer = lookup.Lookup(table.query * own.stretch, table.keys, table.values, temperature)
    again = copying.copy(longer, own.target, own.eps)
    assert again.error <= own.eps * (1 + 1e-9)
    assert own.reached == pytest.approx(again.error, rel=1e-6)
    assert (own.errors <= own.bounds * (1 + 1e-12) + 1e-150).all()  # squares of smaller errors underflow


@quick
@given(seeds, keys)
def test_twice_the_query_has_twice_the_margin(seed, n):
    table = any_table(seed, n)
    longer = lookup.Lookup(2 * table.query, table.keys, table.values)
    assert copying.copy(longer).margin == pytest.approx(2 * copying.copy(table).margin)


@quick
@given(seeds, keys)
def test_a_key_that_does_not_lead_is_never_copied_by_a_longer_query(seed, n):
    table = any_table(seed, n)
    last = int((table.keys @ table.query).argmin())
    own = copying.copy(table, last, eps=1e-6)
    assert own.margin < 0
    assert own.stretch == math.inf
    assert math.isnan(own.reached)
    assert copying.figure_of(own).axes[0].get_title().endswith("does not lead")


def test_the_sheet_s_table_is_copied_by_a_query_four_times_as_long():
    own = copying.copy(lookup.example())
    assert (own.target, own.margin) == (0, 2)
    assert own.spread == pytest.approx(math.sqrt(80))
    assert own.needed == pytest.approx(math.log(3 * (math.sqrt(80) / 0.01 - 1)))
    assert own.reached < 0.01
    json.dumps(own.to_dict(), allow_nan=False)
    assert len(copying.figure_of(own).axes) == 1


def test_one_key_alone_and_equal_values_are_copied_exactly():
    alone = copying.copy(lookup.of({"query": [1], "keys": [[1]], "values": [[5]]}))
    same = copying.copy(lookup.of({"query": [1], "keys": [[1], [2]], "values": [[5], [5]]}), 0)
    for own in (alone, same):
        assert (own.error, own.needed, own.stretch) == (0, -math.inf, 1)
        assert len(copying.figure_of(own).axes) == 1


@pytest.mark.parametrize(("target", "temperature", "said"), [(4, 1.0, "no value 4"), (0, 0.0, "temperature 0")])
def test_copies_that_make_no_sense_are_refused(target, temperature, said):
    with pytest.raises(UsageError, match=said):
        copying.copy(any_table(0, 4, temperature), target)


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

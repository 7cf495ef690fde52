import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.attention import lookup, weights
from welltuned.errors import UsageError

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 8)


def random_lookup(seed: int, keys: int, width: int = 4) -> lookup.Lookup:
    generator = torch.Generator().manual_seed(seed)
    query, rows, values = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((width,), (keys, width), (keys, 3))
    )
    return lookup.Lookup(query, rows, values)


def test_the_example_scores_and_its_argmax():
    result = weights.measure(lookup.example())
    assert result.scores.tolist() == [3, 1, 1, -3]
    assert result.argmax_output.tolist() == [3, 2, -4]
    assert result.tied == (0,)
    assert result.notes == ()
    assert result.distance[-1] < 1e-14


@quick
@given(seeds, sizes, st.floats(1e-3, 1e3))
def test_the_softmax_of_torch_is_the_reference(seed, n, temperature):
    score = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(weights.softmax(score, temperature), (score / temperature).softmax(-1))


@quick
@given(seeds, sizes, st.floats(1e-6, 1e6))
def test_the_distance_to_the_limit_stays_within_the_bound(seed, n, temperature):
    result = weights.measure(random_lookup(seed, n), [temperature])
    rounding = 1e-14 * float(result.lookup.values.norm())
    assert result.distance[0] <= result.bound[0] + rounding


@quick
@given(seeds, st.integers(2, 8))
def test_softmax_becomes_argmax_as_the_temperature_falls(seed, n):
    table = random_lookup(seed, n)
    result = weights.measure(table)
    cold = weights.measure(table, [result.margin / 40])
    torch.testing.assert_close(cold.path[0], weights.argmax(result.scores), rtol=0, atol=1e-15)
    assert cold.distance[0] < 1e-13


@quick
@given(seeds, st.integers(2, 8), st.floats(1e-307, 1e-301))
def test_a_temperature_that_overflows_the_quotient_gives_argmax(seed, n, temperature):
    table = random_lookup(seed, n)
    score = 1e10 * weights.scores(table.query, table.keys)
    assert (score / temperature).isinf().any()
    torch.testing.assert_close(weights.softmax(score, temperature), weights.argmax(score))


@quick
@given(seeds, st.integers(2, 6), st.integers(2, 4))
def test_ties_are_shared_in_the_limit_and_said(seed, n, copies):
    base = random_lookup(seed, n)
    best = int(weights.scores(base.query, base.keys).argmax())
    keys = torch.cat([base.keys, base.keys[best].expand(copies - 1, -1)])
    values = torch.cat([base.values, base.values[:1].expand(copies - 1, -1) + 1])
    result = weights.measure(lookup.Lookup(base.query, keys, values), [1e-6])
    assert result.tied == (best, *range(n, n + copies - 1))
    torch.testing.assert_close(result.limit, values[list(result.tied)].mean(0))
    torch.testing.assert_close(result.argmax_output, base.values[best])
    assert result.distance[0] < 1e-12
    assert f"Argmax takes the first, key {best}" in result.notes[0]


def test_scores_apart_by_rounding_alone_count_as_tied():
    table = lookup.of({"query": [1, 1], "keys": [[0.1, 0.2], [0.3, 0]], "values": [[0], [2]]})
    score = weights.scores(table.query, table.keys)
    assert score[0] != score[1]
    result = weights.measure(table)
    assert result.tied == (0, 1)
    assert result.margin == math.inf
    assert result.limit.tolist() == [1]


@quick
@given(seeds, st.integers(2, 8))
def test_reordering_the_rows_reorders_the_weights_and_keeps_the_output(seed, n):
    table = random_lookup(seed, n)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    moved = lookup.Lookup(table.query, table.keys[order], table.values[order])
    before, after = weights.measure(table), weights.measure(moved)
    torch.testing.assert_close(after.path, before.path[:, order], rtol=1e-12, atol=0)
    torch.testing.assert_close(after.output, before.output, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(after.argmax_output, before.argmax_output)


@quick
@given(seeds, st.integers(2, 8), st.integers(1, 7))
def test_scaled_scores_are_a_softmax_at_temperature_root_h(seed, n, width):
    table = random_lookup(seed, n, width)
    scaled = weights.softmax(weights.scores(table.query, table.keys, scaled=True))
    warm = weights.softmax(weights.scores(table.query, table.keys), math.sqrt(width))
    torch.testing.assert_close(scaled, warm)


def test_scores_and_weights_work_in_batches():
    tables = [random_lookup(seed, 5) for seed in range(3)]
    queries, keys = (torch.stack([getattr(t, part) for t in tables]) for part in ("query", "keys"))
    together = weights.softmax(weights.scores(queries, keys))
    for one, table in zip(together, tables, strict=True):
        torch.testing.assert_close(one, weights.softmax(weights.scores(table.query, table.keys)))


def test_zero_temperature_is_argmax():
    cold = lookup.Lookup(*(getattr(lookup.example(), part) for part in ("query", "keys", "values")), 0.0)
    assert weights.measure(cold).output.tolist() == [3, 2, -4]
    assert weights.softmax(torch.tensor([1.0, 2.0, 2.0]), 0).tolist() == [0, 0.5, 0.5]


@pytest.mark.parametrize("temperature", [-1.0, math.nan])
def test_impossible_temperatures_are_refused(temperature):
    with pytest.raises(UsageError, match="temperature"):
        weights.softmax(torch.zeros(2), temperature)
    with pytest.raises(UsageError, match="above 0"):
        weights.measure(lookup.example(), [temperature])


@quick
@given(st.floats(-700, 700), st.integers(1, 1000), st.integers(1, 10))
def test_the_leak_is_what_softmax_gives_to_equal_rivals(margin, rivals, winning):
    score = torch.zeros(winning + rivals, dtype=torch.float64)
    score[winning:] = -margin
    assert weights.leak(margin, rivals, winning) == pytest.approx(float(score.softmax(0)[winning:].sum()))


def test_results_are_json_and_figures_draw():
    tied = lookup.of({"query": [1], "keys": [[1], [1]], "values": [[0], [2]]})
    for table in (lookup.example(), tied):
        result = weights.measure(table)
        text = json.dumps(result.to_dict(), allow_nan=False)
        assert json.loads(text)["scores"] == result.scores.tolist()
        assert [axes.get_xlabel() for axes in weights.figure(result).axes] == [
            "temperature, hot to cold (log scale)"
        ] * 2

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.attention import estimators, lookup, weights
from welltuned.errors import UsageError

quick = settings(deadline=None, max_examples=40)
seeds = st.integers(0, 2**32 - 1)
keys = st.integers(2, 8)
temperatures = st.floats(0.05, 20)
HARD = (estimators.argmax, estimators.straight_through, estimators.gumbel_straight_through)


def random_lookup(seed: int, n: int, temperature: float = 1.0) -> lookup.Lookup:
    generator = torch.Generator().manual_seed(seed)
    query, rows, values = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ((4,), (n, 4), (n, 3)))
    return lookup.Lookup(query, rows, values, temperature)


@pytest.mark.parametrize("estimator", HARD)
@quick
@given(seed=seeds, n=keys, temperature=temperatures)
def test_hard_estimators_go_forward_exactly_one_hot(estimator, seed, n, temperature):
    generator = torch.Generator().manual_seed(seed)
    score = torch.randn(5, n, generator=generator, dtype=torch.float64).requires_grad_()
    weight = estimator(score, temperature, generator).detach()
    assert set(weight.unique().tolist()) == {0.0, 1.0}
    assert weight.sum(-1).tolist() == [1] * 5
    if estimator is not estimators.gumbel_straight_through:
        assert weight.argmax(-1).tolist() == score.argmax(-1).tolist()


@quick
@given(seeds, keys)
def test_argmax_tells_query_and_keys_nothing_and_only_the_winner_something(seed, n):
    table = random_lookup(seed, n)
    best = int((table.keys @ table.query).argmax())
    target = (best + 1) % n
    generator = torch.Generator().manual_seed(seed)
    _, query, rows, values = estimators.gradients(table, target, estimators.argmax, generator)
    values = values[0]
    assert query.count_nonzero() == rows.count_nonzero() == 0
    wanted = torch.zeros_like(values)
    wanted[best] = table.values[best] - table.values[target]
    torch.testing.assert_close(values, wanted)


@quick
@given(seeds, keys)
def test_the_derivative_of_argmax_is_zero_by_finite_differences_too(seed, n):
    result = estimators.measure(random_lookup(seed, n), draws=1)
    assert result.difference.tolist() == [0] * 4


@quick
@given(seeds, keys, temperatures)
def test_softmax_has_the_gradient_of_the_docstring(seed, n, temperature):
    table = random_lookup(seed, n, temperature)
    generator = torch.Generator().manual_seed(seed)
    out, query = (part[0] for part in estimators.gradients(table, 0, estimators.softmax, generator)[:2])
    p = (table.keys @ table.query / temperature).softmax(0)
    g = out - table.values[0]
    wanted = (p * ((table.values - out) @ g)) @ table.keys / temperature
    torch.testing.assert_close(query, wanted, rtol=1e-9, atol=1e-11)


@quick
@given(seeds, keys, temperatures)
def test_for_a_linear_loss_straight_through_has_the_gradient_of_softmax(seed, n, temperature):
    generator = torch.Generator().manual_seed(seed)
    score, slope = (torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(2))
    grads = []
    for estimator in (estimators.straight_through, estimators.softmax):
        s = score.clone().requires_grad_()
        grads.append(torch.autograd.grad(estimator(s, temperature, generator) @ slope, s)[0])
    torch.testing.assert_close(*grads)


def test_gumbel_samples_fall_with_the_probabilities_of_softmax():
    score = torch.tensor([1.0, 0.0, -1.0, 0.5], dtype=torch.float64)
    draws = 20_000
    generator = torch.Generator().manual_seed(1)
    weight = estimators.gumbel_straight_through(score.expand(draws, -1), 1.0, generator)
    p = score.softmax(0)
    chi_square = (draws * (weight.mean(0) - p).square() / p).sum()
    assert chi_square < 16.27  # 3 degrees of freedom: exceeded by chance once in 1000


def test_gumbel_noise_is_finite_and_has_the_right_mean():
    noise = estimators.gumbel_noise(torch.zeros(20_000, dtype=torch.float64), torch.Generator().manual_seed(0))
    assert noise.isfinite().all()
    assert float(noise.mean()) == pytest.approx(0.5772, abs=4 * 1.2825 / 20_000**0.5)


@quick
@given(seeds, keys, temperatures)
def test_the_same_seed_draws_the_same_sample(seed, n, temperature):
    table = random_lookup(seed, n, temperature)
    first, second = (
        estimators.gradients(table, 0, estimators.gumbel_softmax, torch.Generator().manual_seed(seed)) for _ in range(2)
    )
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_the_mean_over_draws_of_hard_samples_is_the_output_of_softmax():
    result = estimators.measure(lookup.example(), draws=20_000)
    soft, sampled = (result.output[result.names.index(name)] for name in ("softmax", "gumbel_straight_through"))
    spread = lookup.example().values.std(0)
    assert ((soft - sampled).abs() <= 5 * spread / 20_000**0.5).all()


def test_every_other_estimator_reaches_query_and_keys():
    result = estimators.measure(lookup.example())
    moving = [name != "argmax" for name in result.names]
    assert (result.query.norm(dim=1) > 0).tolist() == moving
    assert (result.keys.flatten(1).norm(dim=1) > 0).tolist() == moving
    json.dumps(result.to_dict(), allow_nan=False)
    assert len(estimators.figure(result).axes) == 2


@quick
@given(seeds, keys)
def test_the_loss_along_the_way_passes_through_the_query_as_it_is(seed, n):
    table = random_lookup(seed, n)
    result = estimators.measure(table, draws=1)
    here = int(result.way.abs().argmin())
    soft = weights.softmax(table.keys @ table.query) @ table.values
    wanted = float((soft - table.values[-1]).square().sum()) / 2
    assert float(result.loss[1, here]) == pytest.approx(wanted, rel=1e-9)
    assert len(result.loss[0].unique()) <= n


def test_a_tie_has_no_derivative_and_says_so():
    tied = lookup.of({"query": [1], "keys": [[1], [1]], "values": [[0], [2]]})
    result = estimators.measure(tied)
    assert result.difference.isnan().all()
    assert "tie" in result.notes[0]
    assert result.to_dict()["difference"] == [None]


def test_a_single_key_has_no_gradient_in_any_estimator():
    result = estimators.measure(lookup.of({"query": [1], "keys": [[2]], "values": [[3]]}))
    assert result.query.count_nonzero() == 0
    assert result.difference.tolist() == [0]


@pytest.mark.parametrize("target", [4, -5])
def test_a_target_outside_the_table_is_refused(target):
    with pytest.raises(UsageError, match="there is no value"):
        estimators.measure(lookup.example(), target)


def test_no_draws_are_refused():
    with pytest.raises(UsageError, match="0 draws"):
        estimators.measure(lookup.example(), draws=0)

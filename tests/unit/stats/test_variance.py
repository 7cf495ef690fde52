"""The crossed variance against a direct analysis of variance."""

from __future__ import annotations

import numpy as np
import pytest

from welltuned.stats.variance import MIXED, SeedTerm, moments, over_items, satterthwaite, seed_term


def residual_mean_square(table):
    """Two-way analysis of variance without replication, written out."""
    x = table.astype(float)
    residual = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    return (residual**2).sum() / ((x.shape[0] - 1) * (x.shape[1] - 1))


@pytest.mark.parametrize("shape", [(2, 7), (3, 40), (5, 11)])
def test_moments_are_those_of_the_analysis_of_variance(shape):
    table = np.random.default_rng(0).random(shape) < 0.7
    method = moments(table)
    assert method.accuracy == pytest.approx(table.mean())
    assert method.between == pytest.approx(table.mean(1).var(ddof=1))
    assert method.noise == pytest.approx(residual_mean_square(table) / shape[1])


def test_moments_of_a_batch_are_those_of_its_members():
    batch = np.random.default_rng(1).random((4, 3, 20)) < 0.6
    whole = moments(batch)
    for row, table in enumerate(batch):
        assert whole.between[row] == pytest.approx(moments(table).between)
        assert whole.noise[row] == pytest.approx(moments(table).noise)


def test_variance_is_unbiased_under_the_crossed_model():
    # 0/1 answers from a latent sum, so that no component is known: the sum must still be right.
    rng = np.random.default_rng(2)
    reps, seeds, n = 4000, 3, 60
    item = rng.random((reps, 1, n))
    seed = rng.normal(0, 0.08, (reps, seeds, 1))
    table = item + seed + rng.normal(0, 0.2, (reps, seeds, n)) > 0.3
    method = moments(table)
    variance = method.item_mean.var(-1, ddof=1) / n + (method.between - method.noise) / seeds
    assert variance.mean() == pytest.approx(method.accuracy.var(), rel=0.06)


def test_a_negative_seed_component_counts_as_none():
    values = np.random.default_rng(3).normal(size=50)
    term = SeedTerm(square=np.array(0.001), noise=np.array(0.004), df=2)
    variance, df = over_items(values, [term])
    assert variance == pytest.approx(values.var(ddof=1) / 50)
    assert df < 49


@pytest.mark.parametrize(("square", "expected"), [(1e-9, 49), (1e6, 2)])
def test_degrees_of_freedom_are_those_of_the_part_that_dominates(square, expected):
    term = SeedTerm(np.array(square), np.zeros(()), 2)
    assert satterthwaite(np.array(0.02), [term], 50)[1] == pytest.approx(expected, rel=1e-3)


def test_degrees_of_freedom_written_out():
    terms = [SeedTerm(np.array(3.0), np.array(0.5), 2), SeedTerm(np.array(1.0), np.array(0.25), 4)]
    variance, df = satterthwaite(np.array(2.0), terms, 101)
    assert variance == pytest.approx(2 + 4 - 0.75)
    share = 3.25 / 5.25
    inverse = (4 / 100 + 9 / 2 + 1 / 4) / 5.25**2 + MIXED * share**2 * (1 - share) / 2
    assert df == pytest.approx(1 / inverse)


def test_no_variance_at_all_still_leaves_an_error():
    method = moments(np.ones((3, 10), bool))
    variance, df = over_items(method.item_mean, [seed_term(method, 1 / 3)])
    assert variance == pytest.approx(2 / 144)
    assert df == pytest.approx(9)

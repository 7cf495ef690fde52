"""The simulated world has the truth it states."""

from __future__ import annotations

import numpy as np
import pytest

from welltuned.stats.simulation import Method, World, method_disagreement, seed_disagreement, simulate

METHODS = (Method(0.85, 0.015), Method(0.80, 0.005))


@pytest.fixture(scope="module")
def drawn():
    return simulate(METHODS, 3, 500, 1500, np.random.default_rng(0))


@pytest.mark.parametrize("which", [0, 1])
def test_accuracy_and_spread_over_seeds_are_as_stated(drawn, which):
    method, correct, trained = METHODS[which], drawn.correct[which], drawn.trained[which]
    assert correct.shape == (1500, 3, 500)
    assert correct.mean() == pytest.approx(method.accuracy, abs=0.002)
    assert trained.mean() == pytest.approx(method.accuracy, abs=0.001)
    assert trained.std() == pytest.approx(method.seed_sd, rel=0.06)
    assert (correct.mean(axis=2) - trained).mean() == pytest.approx(0, abs=0.002)


def test_disagreements_are_as_stated(drawn):
    a, b = drawn.correct
    assert (a[:, 0] != b[:, 0]).mean() == pytest.approx(method_disagreement(*METHODS), abs=0.002)
    assert (a[:, 0] != a[:, 1]).mean() == pytest.approx(seed_disagreement(METHODS[0]), abs=0.002)


def test_independent_answers_disagree_as_independent_coins():
    a, b = Method(0.9), Method(0.7)
    assert method_disagreement(a, b, World(0.0, 0.0)) == pytest.approx(0.9 * 0.3 + 0.1 * 0.7, abs=1e-6)

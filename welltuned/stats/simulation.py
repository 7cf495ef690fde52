"""Experiments whose truth is known: the yardstick for every interval and test in this package.

Method m with seed s is right on item i when ``mu[m] + shift[m, s] + item[i] + own[m, i] + noise[m, s, i]``
is above 0. All parts are normal. ``item`` is shared by the methods, ``own`` by the seeds of a method, and
the variances of item, own and noise sum to 1, so that every accuracy is a value of the normal distribution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import multivariate_normal, norm

from welltuned.stats.variance import Bools, Floats


@dataclass(frozen=True)
class World:
    """How alike the answers of models are.

    Attributes:
        method_correlation: of the latent answers of two methods.
        seed_correlation: of the latent answers of two seeds of one method.
    """

    method_correlation: float = 0.80
    seed_correlation: float = 0.88


@dataclass(frozen=True)
class Method:
    """A method with its accuracy over all seeds and items, and its sd over seeds (to first order)."""

    accuracy: float
    seed_sd: float = 0.0

    @property
    def shift_sd(self) -> float:
        """The seed's standard deviation on the latent scale."""
        return self.seed_sd / float(norm.pdf(norm.ppf(self.accuracy)))

    @property
    def mean(self) -> float:
        """``mu``: the latent mean that gives the accuracy after averaging over seeds."""
        return float(norm.ppf(self.accuracy)) * math.sqrt(1 + self.shift_sd**2)


@dataclass(frozen=True)
class Experiments:
    """R simulated experiments.

    Attributes:
        correct: one array [R, S, N] for each method.
        trained: one array [R, S] for each method: true accuracy of each trained model.
    """

    correct: tuple[Bools, ...]
    trained: tuple[Floats, ...]


def simulate(
    methods: Sequence[Method],
    seeds: int,
    n: int,
    experiments: int,
    rng: np.random.Generator,
    world: World | None = None,
) -> Experiments:
    """Draw R experiments with S seeds of each method on N items shared by all methods."""
    world = world or World()
    single = np.float32

    def normals(shape: tuple[int, ...], variance: float) -> NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=single) * single(math.sqrt(variance))

    item = normals((experiments, 1, n), world.method_correlation)
    correct, trained = [], []
    for method in methods:
        own = normals((experiments, 1, n), world.seed_correlation - world.method_correlation)
        centre = single(method.mean) + normals((experiments, seeds, 1), method.shift_sd**2)
        latent = normals((experiments, seeds, n), 1 - world.seed_correlation)
        latent += item + own
        latent += centre
        correct.append(latent > 0)
        trained.append(np.asarray(norm.cdf(centre[..., 0]), np.float64))
    return Experiments(tuple(correct), tuple(trained))


def _disagreement(a: Method, b: Method, correlation: float) -> float:
    """Chance that exactly one of two models is right on an item."""
    spread = math.sqrt((1 + a.shift_sd**2) * (1 + b.shift_sd**2))
    points, shared = (norm.ppf(a.accuracy), norm.ppf(b.accuracy)), correlation / spread
    both = float(multivariate_normal.cdf(points, cov=[[1, shared], [shared, 1]]))
    return a.accuracy + b.accuracy - 2 * both


def method_disagreement(a: Method, b: Method, world: World | None = None) -> float:
    """Share of items on which exactly one of two models, one of each method, is right."""
    return _disagreement(a, b, (world or World()).method_correlation)


def seed_disagreement(method: Method, world: World | None = None) -> float:
    """Share of items on which exactly one of two seeds of a method is right."""
    return _disagreement(method, method, (world or World()).seed_correlation)

"""A task to learn by gradient: find the row of a table that a disguised query asks for.

Each problem has n random unit keys and random values. The query is one of the keys, turned by a rotation R
that is the same in every problem and unknown to the learner, plus noise; the loss is the squared distance
between the output and that key's value. The learner has one matrix W for its queries: scores are k_i . W q.
W = c R^T with c large solves the task, so whatever passes no gradient to W stays at guessing, 1 in n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import drawing, weights
from welltuned.attention.estimators import (
    Estimator,
    argmax,
    gumbel_straight_through,
    softmax,
    straight_through,
)
from welltuned.attention.result import Result
from welltuned.errors import UsageError


@dataclass(frozen=True)
class Task:
    """Sizes of the problems and of the training.

    Attributes:
        keys: n, rows in a table.
        width: h = d, numbers in a key and in a value.
        noise: standard deviation of what is added to each number of the query.
        problems: problems a step, and in the held-out set.
        steps: optimiser steps.
        lr: Adam's learning rate.
        temperature: of every softmax.
        every: steps between looks at the held-out problems.
    """

    keys: int = 8
    width: int = 8
    noise: float = 0.05
    problems: int = 64
    steps: int = 100
    lr: float = 0.05
    temperature: float = 1.0
    every: int = 5


@dataclass(frozen=True, eq=False)
class Retrieval(Result):
    """Learning curves on held-out problems, for each estimator and seed.

    Attributes:
        names: [E] estimators.
        seeds: [S] each decides R, the start, the problems and the noise.
        steps: [C] steps after which the held-out problems were looked at.
        accuracy: [E, S, C] share of problems whose largest score falls on the right key.
        loss: [E, S, C] mean squared distance / 2, with the weights the estimator goes forward with; the Gumbel
            ones draw fresh noise.
        moved: [E, S] 2-norm of how far W moved from its start.
        guessing: accuracy of a random choice.
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    accuracy: Tensor
    loss: Tensor
    moved: Tensor
    guessing: float


def measure(
    estimators: Sequence[Estimator] = (softmax, argmax, straight_through, gumbel_straight_through),
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    task: Task | None = None,
) -> Retrieval:
    """Train W with each estimator from the same starts on the same problems.

    Raises:
        UsageError: no seeds, no estimators, or a task without steps or choices.
    """
    task = task or Task()
    if not seeds or not estimators or min(task.steps, task.every) < 1 or task.keys < 2:
        raise UsageError("retrieval needs an estimator, a seed, a step and two keys")
    runs = [[_train(e, seed, task) for seed in seeds] for e in estimators]
    return Retrieval(
        names=tuple(getattr(e, "__name__", repr(e)) for e in estimators),
        seeds=tuple(seeds),
        steps=tuple(range(0, task.steps + 1, task.every)),
        accuracy=torch.stack([torch.stack([run[0] for run in row]) for row in runs]),
        loss=torch.stack([torch.stack([run[1] for run in row]) for row in runs]),
        moved=torch.stack([torch.stack([run[2] for run in row]) for row in runs]),
        guessing=1 / task.keys,
    )


@dataclass(frozen=True, eq=False)
class _Problems:
    """P problems: query [P, h], keys [P, n, h], values [P, n, h], and the right rows [P]."""

    query: Tensor
    keys: Tensor
    values: Tensor
    right: Tensor


def _draw(task: Task, rotation: Tensor, generator: torch.Generator) -> _Problems:
    shape = (task.problems, task.keys, task.width)
    keys = torch.randn(shape, generator=generator, dtype=torch.float64)
    keys = keys / keys.norm(dim=-1, keepdim=True)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    right = torch.randint(task.keys, (task.problems,), generator=generator)
    asked = keys[torch.arange(task.problems), right]
    noise = torch.randn(asked.shape, generator=generator, dtype=torch.float64)
    return _Problems(asked @ rotation.T + task.noise * noise, keys, values, right)


def _train(estimator: Estimator, seed: int, task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """Held-out accuracy [C] and loss [C] on the way, and how far W moved."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.Generator().manual_seed(seed)  # apart, so that every estimator sees the same problems
    square = torch.randn(task.width, task.width, generator=generator, dtype=torch.float64)
    rotation = torch.linalg.qr(square).Q
    start = torch.randn(task.width, task.width, generator=generator, dtype=torch.float64) / task.width**0.5
    held_out = _draw(task, rotation, generator)
    w = start.clone().requires_grad_()
    optimiser = torch.optim.Adam([w], lr=task.lr)
    looks = [_look(w, held_out, estimator, task, noise)]
    for step in range(1, task.steps + 1):
        loss = _loss(w, _draw(task, rotation, generator), estimator, task, noise)
        (w.grad,) = torch.autograd.grad(loss, [w], materialize_grads=True) if loss.requires_grad else (None,)
        optimiser.step()
        if step % task.every == 0:
            looks.append(_look(w, held_out, estimator, task, noise))
    accuracy, losses = torch.tensor(looks, dtype=torch.float64).T
    return accuracy, losses, (w.detach() - start).norm()


def _scores(w: Tensor, problems: _Problems) -> Tensor:
    return weights.scores(problems.query @ w.T, problems.keys)  # [P, n]


def _loss(w: Tensor, problems: _Problems, estimator: Estimator, task: Task, noise: torch.Generator) -> Tensor:
    weight = estimator(_scores(w, problems), task.temperature, noise)  # [P, n]
    output = (weight.unsqueeze(1) @ problems.values).squeeze(1)  # [P, h]
    wanted = problems.values[torch.arange(len(problems.right)), problems.right]
    return (output - wanted).square().sum(-1).mean() / 2


@torch.no_grad()
def _look(
    w: Tensor, problems: _Problems, estimator: Estimator, task: Task, noise: torch.Generator
) -> tuple[float, float]:
    hits = (_scores(w, problems).argmax(-1) == problems.right).double().mean()
    return float(hits), float(_loss(w, problems, estimator, task, noise))


def figure(result: Retrieval) -> Figure:
    """Held-out accuracy and loss by step: mean over seeds, and a band from the lowest to the highest."""
    drawn, (left, right) = drawing.panels(2, width=5.6, height=4.2)
    _curves(left, result, result.accuracy)
    left.axhline(result.guessing, color="0.4", linewidth=1)
    left.annotate(f"guessing: 1 in {round(1 / result.guessing)}", (result.steps[-1], result.guessing), (0, -12),
                  textcoords="offset points", ha="right", fontsize=8, color="0.3")  # fmt: skip
    left.set_ylim(0, 1.03)
    drawing.label(
        left,
        title="Key-value retrieval: argmax learns nothing",
        x="training step",
        y="accuracy on new problems:\nshare with the largest score on the right row",
    )
    _curves(right, result, result.loss)
    drawing.label(
        right,
        title=f"Loss of what each estimator returns\n(mean and range of {len(result.seeds)} seeds)",
        x="training step",
        y="loss on new problems",
    )
    right.set_ylim(bottom=0)
    left.legend(fontsize=8)
    return drawn


def _curves(axes: Axes, result: Retrieval, curves: Tensor) -> None:
    for i, name in enumerate(result.names):
        look = drawing.style(i)
        mean = curves[i].mean(0)
        axes.fill_between(result.steps, curves[i].amin(0), curves[i].amax(0), color=look["color"], alpha=0.15)
        axes.plot(result.steps, mean, markevery=(i, max(1, len(mean) // 6)), label=name.replace("_", " "), **look)

"""Why argmax cannot be trained, and the estimators that stand in for its gradient.

The one-hot weights of argmax do not change when query or keys move a little, so every derivative with respect
to them is 0; only the chosen value gets a gradient. Softmax has the derivative

    dL/dq = (1/T) sum_i p_i (g . (v_i - out)) k_i      with g = dL/d out.

Straight-through (Bengio, Leonard & Courville 2013, arXiv:1308.3432) goes forward with argmax and backward as
if it had been softmax: a biased estimate, for the forward function's own derivative is 0. Gumbel-softmax
(Jang, Gu & Poole 2017, arXiv:1611.01144; Maddison, Mnih & Teh 2017, arXiv:1611.00712) adds Gumbel noise to
the scores: the largest noisy score falls on key i with probability softmax(s)_i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import drawing, weights
from welltuned.attention.lookup import Lookup
from welltuned.attention.result import Result
from welltuned.errors import UsageError

Estimator = Callable[[Tensor, float, torch.Generator], Tensor]
"""(scores [..., n], temperature, generator) -> weights [..., n]."""


def softmax(score: Tensor, temperature: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Soft weights and their own gradient."""
    return weights.softmax(score, temperature)


def argmax(score: Tensor, temperature: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """One-hot weights, which autograd treats as constants."""
    return weights.argmax(score)


def straight_through(score: Tensor, temperature: float, generator: torch.Generator) -> Tensor:  # noqa: ARG001
    """Forward the one-hot weights of argmax, backward the gradient of softmax at this temperature."""
    return _hard_forward(weights.softmax(score, temperature))


def gumbel_softmax(score: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Soft weights of the scores plus Gumbel noise: a relaxed random choice."""
    return weights.softmax(score + gumbel_noise(score, generator), temperature)


def gumbel_straight_through(score: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """Forward a one-hot sample with probabilities softmax(score), backward the relaxed sample's gradient."""
    return _hard_forward(gumbel_softmax(score, temperature, generator))


def gumbel_noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Independent standard Gumbel variables, -log(-log U) for U uniform, in the shape of ``like``."""
    # Uniform numbers are the same on every CPU; torch's exponential_ depends on the build.
    uniform = torch.rand(like.shape, generator=generator, dtype=like.dtype)
    return -(-uniform.clamp_min(torch.finfo(like.dtype).tiny).log()).log()


def _hard_forward(soft: Tensor) -> Tensor:
    # The bracket is exactly 0, so the forward is exactly one-hot; (hard - soft).detach() + soft rounds.
    return weights.argmax(soft.detach()) + (soft - soft.detach())


ESTIMATORS: tuple[Estimator, ...] = (
    softmax,
    argmax,
    straight_through,
    gumbel_softmax,
    gumbel_straight_through,
)


@dataclass(frozen=True, eq=False)
class Gradients(Result):
    """What each estimator tells query, keys and values about L = ||out - v_target||^2 / 2.

    Attributes:
        lookup: the input; its temperature (1 where it is 0) serves every softmax.
        target: index of the value wanted.
        names: [E] estimators.
        output: [E, d] forward, the mean over the draws (all the same but for the Gumbel ones).
        query, keys, values: gradients [E, h], [E, n, h], [E, n, d] by autograd, means over the draws.
        difference: [h] finite differences of argmax's loss by the query, at a step that cannot change the
            winner; NaN on a tie, where argmax jumps and has no derivative.
        way: [S] t in query + t (k_target - k_best).
        loss: [2, S] loss of argmax and of softmax along that way.
        draws, seed: of the Gumbel noise.
        notes: remarks on ties, in sentences.
    """

    lookup: Lookup
    target: int
    names: tuple[str, ...]
    output: Tensor
    query: Tensor
    keys: Tensor
    values: Tensor
    difference: Tensor
    way: Tensor
    loss: Tensor
    draws: int
    seed: int
    notes: tuple[str, ...]


def measure(
    lookup: Lookup,
    target: int = -1,
    estimators: Sequence[Estimator] = ESTIMATORS,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Gradients:
    """Gradients of the squared distance to one wanted value, by every estimator.

    Raises:
        UsageError: there is no value with the index ``target``, or there are no draws.
    """
    if draws < 1:
        raise UsageError(f"there are {draws} draws", where="draws", mend="give 1 or more")
    n = len(lookup.keys)
    if not -n <= target < n:
        raise UsageError(f"there is no value {target}", where="target", mend=f"give 0 to {n - 1}")
    wanted = target % n
    passes = [gradients(lookup, wanted, e, torch.Generator().manual_seed(seed), draws) for e in estimators]
    output, query, keys, values = (torch.stack([part.mean(0) for part in parts]) for parts in zip(*passes, strict=True))
    way = torch.linspace(-1, 3, 401, dtype=torch.float64)
    step = _safe_step(lookup)
    return Gradients(
        lookup=lookup,
        target=wanted,
        names=tuple(getattr(e, "__name__", repr(e)) for e in estimators),
        output=output,
        query=query,
        keys=keys,
        values=values,
        difference=_differences(lookup, wanted, step),
        way=way,
        loss=_losses_along(lookup, wanted, way),
        draws=draws,
        seed=seed,
        notes=() if step > 0 else ("Keys tie for the largest score: argmax jumps here and has no derivative.",),
    )


def gradients(
    lookup: Lookup, target: int, estimator: Estimator, generator: torch.Generator, draws: int = 1
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Output [R, d], and gradients by query [R, h], keys [R, n, h] and values [R, n, d], from autograd.

    There are R independent draws, each with its own loss. The target is held constant. A tensor the loss
    does not depend on gets zeros.
    """
    inputs = [t.repeat(draws, *[1] * t.dim()).requires_grad_() for t in (lookup.query, lookup.keys, lookup.values)]
    query, keys, values = inputs
    weight = estimator(weights.scores(query, keys), lookup.temperature or 1.0, generator)
    output = (weight.unsqueeze(1) @ values).squeeze(1)
    loss = (output - lookup.values[target]).square().sum() / 2
    by_query, by_keys, by_values = torch.autograd.grad(loss, inputs, materialize_grads=True)
    return output.detach(), by_query, by_keys, by_values


def argmax_loss(lookup: Lookup, query: Tensor, target: int) -> Tensor:
    """||v_argmax - v_target||^2 / 2 [...] for queries [..., h]."""
    weight = weights.argmax(query @ lookup.keys.T)
    return (weight @ lookup.values - lookup.values[target]).square().sum(-1) / 2


def _safe_step(lookup: Lookup) -> float:
    """A quarter of the least move of one coordinate of the query that could let another key win; 0 on a tie."""
    score = weights.scores(lookup.query, lookup.keys)
    best = int(score.argmax())
    gap = (score[best] - score)[torch.arange(len(score)) != best]
    if len(gap) and float(gap.min()) <= weights.rounding(lookup):
        return 0.0
    reach = (lookup.keys - lookup.keys[best]).abs().max().clamp_min(1e-300)
    return float(gap.min() / reach / 4) if len(gap) else 1.0


def _differences(lookup: Lookup, target: int, step: float) -> Tensor:
    if step == 0:
        return torch.full_like(lookup.query, torch.nan)
    moves = step * torch.eye(len(lookup.query), dtype=torch.float64)
    up = argmax_loss(lookup, lookup.query + moves, target)
    down = argmax_loss(lookup, lookup.query - moves, target)
    return (up - down) / (2 * step)


def _losses_along(lookup: Lookup, target: int, way: Tensor) -> Tensor:
    best = int(weights.scores(lookup.query, lookup.keys).argmax())
    queries = lookup.query + way[:, None] * (lookup.keys[target] - lookup.keys[best])  # [S, h]
    soft = weights.softmax(queries @ lookup.keys.T, lookup.temperature or 1.0) @ lookup.values
    soft_loss = (soft - lookup.values[target]).square().sum(-1) / 2
    return torch.stack([argmax_loss(lookup, queries, target), soft_loss])


def figure(result: Gradients) -> Figure:
    """Left: argmax's loss is a staircase. Right: gradient sizes by estimator."""
    drawn, (left, right) = drawing.panels(2, width=5.6, height=4.2)
    for i, name in enumerate(("argmax", "softmax")):
        look = {**drawing.style(1 - i), "marker": None}
        left.plot(result.way, result.loss[i], linewidth=2, label=name, **look)
    left.axvline(0, color="0.5", linewidth=1)
    left.legend()
    drawing.label(
        left,
        title="The loss of argmax is flat between jumps",
        x="t: query moved by t (wanted key - winning key)",
        y="squared distance to the wanted value / 2",
    )
    _draw_bars(right, result)
    return drawn


def _draw_bars(axes: Axes, result: Gradients) -> None:
    places = np.arange(len(result.names))
    for i, part in enumerate(("query", "keys", "values")):
        sizes = getattr(result, part).flatten(1).norm(dim=1).tolist()
        bars = axes.bar(places + (i - 1) * 0.27, sizes, 0.27, label=part, **drawing.bar_style(i))
        axes.bar_label(bars, ["0" if size == 0 else "" for size in sizes], fontsize=9)
    axes.set_xticks(places, [name.replace("_", "\n") for name in result.names], fontsize=8)
    axes.legend(title="gradient of", fontsize=8)
    drawing.label(
        axes,
        title="Argmax tells query and keys nothing",
        x=f"estimator (Gumbel: mean of {result.draws} draws)",
        y="length of the gradient",
    )

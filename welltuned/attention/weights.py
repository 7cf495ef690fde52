"""From scores to weights: softmax, argmax, and the temperature that leads from one to the other.

Scaled dot-product attention for one query (Vaswani et al. 2017, equation 1): scores s_i = k_i . q, weights
p = softmax(s / T), output sum_i p_i v_i. With T = sqrt(h) this is the transformer's head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import drawing
from welltuned.attention.lookup import Lookup
from welltuned.attention.result import Result
from welltuned.errors import UsageError

TEMPERATURES = tuple(10 ** (x / 8) for x in range(16, -13, -1))  # 100 down to about 0.03
_LEGEND = 12  # keys that a legend can name legibly


def scores(query: Tensor, keys: Tensor, *, scaled: bool = False) -> Tensor:
    """Dot products [..., n] of a query [..., h] with keys [..., n, h]; divided by sqrt(h) if scaled."""
    dots = (keys @ query.unsqueeze(-1)).squeeze(-1)
    return dots / math.sqrt(query.shape[-1]) if scaled else dots


def softmax(score: Tensor, temperature: float = 1.0) -> Tensor:
    """Weights [..., n] proportional to exp(score / T); T = 0 gives the limit, see :func:`argmax_shared`.

    Raises:
        UsageError: T is negative or not a number.
    """
    if not temperature >= 0:
        raise UsageError(f"the temperature is {temperature}", mend="give a number above 0, or 0 for argmax")
    if temperature == 0:
        return argmax_shared(score)
    # The maximum is taken off before the division: a tiny T then gives exp(-inf) = 0, not inf / inf.
    return ((score - score.amax(-1, keepdim=True)) / temperature).softmax(-1)


def argmax(score: Tensor) -> Tensor:
    """One-hot weights [..., n] on the largest score; of equal ones, the first."""
    first = winners(score).to(torch.int8).argmax(-1)
    return torch.nn.functional.one_hot(first, score.shape[-1]).to(score.dtype)


def argmax_shared(score: Tensor, tolerance: float = 0.0) -> Tensor:
    """Weights [..., n] equal on all largest scores: what softmax tends to as T falls to 0."""
    best = winners(score, tolerance).to(score.dtype)
    return best / best.sum(-1, keepdim=True)


def winners(score: Tensor, tolerance: float = 0.0) -> Tensor:
    """True [..., n] where a score is within the tolerance of the largest."""
    return score >= score.amax(-1, keepdim=True) - tolerance


def rounding(lookup: Lookup) -> float:
    """How far float64 rounding can move a score: h * eps * max_i sum_j |k_ij q_j| (Higham 2002, 3.5).

    Scores closer than this cannot be told apart and count as tied.
    """
    size = float((lookup.keys * lookup.query).abs().sum(1).max())
    return len(lookup.query) * torch.finfo(lookup.keys.dtype).eps * size


def leak(margin: float, rivals: int, winning: int = 1) -> float:
    """The most weight that can fall on ``rivals`` keys whose scores are all ``margin`` or more lower.

    r e^-m / (w + r e^-m) for r rivals and w winners: each rival weighs at most e^-m of a winner.
    """
    if rivals == 0:
        return 0.0
    # Divided through by r e^-m; as a sigmoid it neither overflows nor loses digits for large margins.
    return float(torch.tensor(math.log(rivals / winning) - margin, dtype=torch.float64).sigmoid())


@dataclass(frozen=True, eq=False)
class Cooling(Result):
    """One lookup at its own temperature, at T = 0, and on the way from hot to cold.

    Attributes:
        lookup: the input.
        scores: [n] dot products of query and keys.
        weights, output: [n], [d] at the lookup's temperature.
        tied: indices of the keys with the largest score; several if they tie within rounding.
        margin: how far below the largest the next score is; inf if all keys tie.
        argmax_output: [d] the value of the first of the tied keys.
        limit: [d] the mean of the tied keys' values, to which softmax converges.
        temperatures: [S] falling.
        path: [S, n] weights at each temperature.
        distance: [S] 2-norm between the output and the limit.
        bound: [S] the most that distance can be, leak(margin / T) * max_i ||v_i - limit||.
        notes: what a reader has to know about ties, in sentences.
    """

    lookup: Lookup
    scores: Tensor
    weights: Tensor
    output: Tensor
    tied: tuple[int, ...]
    margin: float
    argmax_output: Tensor
    limit: Tensor
    temperatures: Tensor
    path: Tensor
    distance: Tensor
    bound: Tensor
    notes: tuple[str, ...]


def measure(lookup: Lookup, temperatures: Sequence[float] = TEMPERATURES) -> Cooling:
    """Weights and outputs of one lookup as the temperature falls, next to argmax.

    Raises:
        UsageError: no temperature is given, or one is not above 0.
    """
    if not temperatures or not all(t > 0 for t in temperatures):
        raise UsageError("every temperature on the way must be above 0", where="temperatures")
    score = scores(lookup.query, lookup.keys)
    best = winners(score, rounding(lookup))
    limit = lookup.values[best].mean(0)
    margin = float(score.max() - score[~best].max()) if bool((~best).any()) else math.inf
    path = torch.stack([softmax(score, t) for t in temperatures])
    weights = softmax(score, lookup.temperature) if lookup.temperature else best.double() / best.sum()
    tied = tuple(best.nonzero().flatten().tolist())
    return Cooling(
        lookup=lookup,
        scores=score,
        weights=weights,
        output=weights @ lookup.values,
        tied=tied,
        margin=margin,
        argmax_output=lookup.values[tied[0]],
        limit=limit,
        temperatures=torch.tensor(temperatures, dtype=torch.float64),
        path=path,
        distance=(path @ lookup.values - limit).norm(dim=1),
        bound=_bounds(lookup, limit, margin, len(tied), temperatures),
        notes=_notes(tied),
    )


def _bounds(lookup: Lookup, limit: Tensor, margin: float, tied: int, temperatures: Sequence[float]) -> Tensor:
    spread = (lookup.values - limit).norm(dim=1).max()
    rivals = len(lookup.keys) - tied
    leaks = [leak(margin / t, rivals, tied) for t in temperatures]
    return torch.tensor(leaks, dtype=torch.float64).mul(spread)


def _notes(tied: tuple[int, ...]) -> tuple[str, ...]:
    if len(tied) == 1:
        return ()
    names = " and ".join(str(i) for i in tied)
    return (
        f"Keys {names} tie for the largest score. Argmax takes the first, key {tied[0]}; softmax at falling "
        f"temperature shares the weight and tends to the mean of their {len(tied)} values.",
    )


def figure(result: Cooling) -> Figure:
    """Left: each key's weight by temperature. Right: distance from the limit, and its bound."""
    drawn, (left, right) = drawing.panels(2)
    t = result.temperatures
    for i, score in enumerate(result.scores.tolist()):
        left.plot(t, result.path[:, i], markevery=(i % 4, 4), label=f"key {i} (score {score:g})", **drawing.style(i))
    drawing.label(
        left, title="Cooling turns softmax into argmax", x="temperature, hot to cold (log scale)", y="attention weight"
    )
    _draw_distance(right, result)
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xlim(1.3 * float(t.max()), float(t.min()) / 1.3)
    if len(result.scores) <= _LEGEND:
        left.legend(fontsize=8)
    return drawn


def _draw_distance(axes: Axes, result: Cooling) -> None:
    t = result.temperatures
    shown = result.bound > torch.finfo(torch.float64).eps  # below this only rounding is left
    axes.plot(t[shown], result.bound[shown], label="bound", **{**drawing.style(3), "marker": None})
    axes.plot(t[shown], result.distance[shown], label="measured", markevery=4, **drawing.style(0))
    if bool(shown.any()):
        axes.set_yscale("log")
        axes.legend(fontsize=8)
    else:
        axes.text(0.5, 0.5, "All keys tie: the distance is always 0.", ha="center", transform=axes.transAxes)
    drawing.label(
        axes,
        title="Distance to the limit as the temperature falls to 0",
        x="temperature, hot to cold (log scale)",
        y="distance (log scale)",
    )

"""Averaging two values: the query q = c (k_a + k_b) over orthonormal keys.

Keys a and b score c, every other key 0 (divide both by sqrt(h) where scores are scaled). So with e = exp(c),
a and b weigh e / (2 e + n - 2) each, the other n - 2 keys share

    leak(c) = (n - 2) / (2 e + n - 2),

and the output misses the wanted mean by exactly

    out - (v_a + v_b) / 2 = leak(c) (mean of the other values - (v_a + v_b) / 2).

With G the norm of that last bracket, an error of at most eps needs c >= log((n - 2)(G / eps - 1) / 2), times
sqrt(h) where scores are scaled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import drawing, weights
from welltuned.attention.lookup import Lookup
from welltuned.attention.result import Result
from welltuned.errors import UsageError

STRENGTHS = (0.0, 0.5, *(float(c) for c in (1, *range(2, 17, 2), 20, 24, 32, 40, 48, 64, 80, 96, 128)))


def leak(strength: float, keys: int, *, scale: float = 1.0) -> float:
    """Weight on the keys that are not averaged; ``strength`` is c, ``scale`` is sqrt(h) or 1."""
    return weights.leak(strength / scale, keys - 2, winning=2)


def strength_for(eps: float, keys: int, gap: float, *, scale: float = 1.0) -> float:
    """The least c whose error is at most eps; -inf where any c does.

    Args:
        eps: the error allowed, 2-norm.
        keys: n.
        gap: G, the norm of (mean of the other values - mean of the two).
        scale: sqrt(h) where scores are divided by it, else 1.

    Raises:
        UsageError: eps is not above 0.
    """
    if not eps > 0:
        raise UsageError(f"eps is {eps}", why="softmax gives every key some weight", mend="give eps above 0")
    if keys == 2 or eps >= gap:
        return -math.inf
    return scale * math.log((keys - 2) * (gap / eps - 1) / 2)


def gap_vector(values: Tensor, a: int, b: int) -> Tensor:
    """[d] mean of the values other than a and b, less the mean of a and b; zero for two values."""
    others = torch.ones(len(values), dtype=torch.bool)
    others[[a, b]] = False
    wanted = (values[a] + values[b]) / 2
    return values[others].mean(0) - wanted if bool(others.any()) else torch.zeros_like(wanted)


def balanced_query(keys: Tensor, a: int, b: int, strength: float) -> Tensor:
    """[h] the shortest query that scores c on keys a and b and 0 on all others.

    For orthonormal keys this is c (k_a + k_b). It also serves keys that are only linearly independent, where
    c (k_a + k_b) would score a and b unequally, and the more so the larger c.

    Raises:
        UsageError: the keys [n, h] are linearly dependent.
    """
    if int(torch.linalg.matrix_rank(keys)) < len(keys):
        raise UsageError("the keys are linearly dependent", why="their scores cannot be chosen freely")
    wanted = torch.zeros(len(keys), dtype=keys.dtype)
    wanted[[a, b]] = strength
    return torch.mv(torch.linalg.pinv(keys), wanted)


@dataclass(frozen=True, eq=False)
class Average(Result):
    """One table asked for the mean of two of its values.

    Attributes:
        pair: a and b.
        strength: c.
        scale: what scores are divided by, sqrt(h) or 1.
        orthonormal: whether the keys are, within 1e-9; the closed form is for these.
        weights, output: [n], [d] for the query c (k_a + k_b).
        wanted: [d] (v_a + v_b) / 2.
        error: ||output - wanted||.
        closed: leak(c) G.
        half: the error that c = 1/2 makes.
        balanced: the error of :func:`balanced_query`, which is the closed form for all independent keys; NaN where
            the keys are linearly dependent.
        gap: G, the distance from the wanted mean to the mean of the other values.
        eps: the error allowed.
        needed: the least c for it; -inf where any c does.
        reached: the error of the balanced query measured at that c.
        strengths: [S] values of c.
        closed_path, path, balanced_path: [S] the closed form, the error of c (k_a + k_b) and that of the balanced
            query at each.
    """

    pair: tuple[int, int]
    strength: float
    scale: float
    orthonormal: bool
    weights: Tensor
    output: Tensor
    wanted: Tensor
    error: float
    closed: float
    half: float
    balanced: float
    gap: float
    eps: float
    needed: float
    reached: float
    strengths: Tensor
    closed_path: Tensor
    path: Tensor
    balanced_path: Tensor


def average(
    keys: Tensor,
    values: Tensor,
    pair: tuple[int, int] = (0, 1),
    strength: float = 10.0,
    *,
    eps: float = 0.01,
    scaled: bool = False,
) -> Average:
    """Ask keys [n, h] for the mean of two of the values [n, d].

    Raises:
        UsageError: the pair does not name two rows, or eps is not above 0.
    """
    a, b = pair
    n = len(keys)
    if a == b or not (0 <= a < n and 0 <= b < n):
        raise UsageError(f"{a} and {b} are not two rows", mend=f"give two different numbers from 0 to {n - 1}")
    scale = math.sqrt(keys.shape[1]) if scaled else 1.0
    away = values - (values[a] + values[b]) / 2  # [n, d], free of cancellation
    gap = float(gap_vector(values, a, b).norm())
    needed = strength_for(eps, n, gap, scale=scale)
    independent = int(torch.linalg.matrix_rank(keys)) == n

    def error(query: Tensor) -> float:
        return float((weights.softmax(keys @ query / scale) @ away).norm())

    def balanced(c: float) -> float:
        return error(balanced_query(keys, a, b, max(c, 0.0))) if independent else math.nan

    both = keys[a] + keys[b]
    strengths = torch.linspace(0, 1.2 * max(strength, needed, 4 * scale), 61, dtype=torch.float64)
    weight = weights.softmax(keys @ (strength * both) / scale)
    return Average(
        pair=pair,
        strength=strength,
        scale=scale,
        orthonormal=bool(((keys @ keys.T - torch.eye(n, dtype=keys.dtype)).abs() < 1e-9).all()),
        weights=weight,
        output=weight @ values,
        wanted=(values[a] + values[b]) / 2,
        error=error(strength * both),
        closed=leak(strength, n, scale=scale) * gap,
        half=error(both / 2),
        balanced=balanced(strength),
        gap=gap,
        eps=eps,
        needed=needed,
        reached=balanced(needed),
        strengths=strengths,
        closed_path=_table([leak(c, n, scale=scale) * gap for c in strengths.tolist()]),
        path=_table([error(c * both) for c in strengths.tolist()]),
        balanced_path=_table([balanced(c) for c in strengths.tolist()]),
    )


def _table(rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Averaging(Result):
    """Errors of averaging two values of random tables, each divided by that table's G.

    Attributes:
        sizes: [N] numbers of keys.
        width: h, numbers in a key.
        strengths: [C] values of c.
        predicted: [2, N, C] leak(c) without and with the 1/sqrt(h) scale.
        measured: [2, N, C] ||out - mean of the two|| / G of a real softmax.
        tolerances: [E] values of eps / G.
        needed: [2, E, N] strength_for(eps) without and with the scale.
        seed: of the random tables.
    """

    sizes: tuple[int, ...]
    width: int
    strengths: tuple[float, ...]
    predicted: Tensor
    measured: Tensor
    tolerances: tuple[float, ...]
    needed: Tensor
    seed: int


def measure(
    sizes: Sequence[int] = (2, 4, 16, 64),
    strengths: Sequence[float] = STRENGTHS,
    tolerances: Sequence[float] = (0.1, 0.01, 0.001),
    *,
    width: int = 64,
    seed: int = 0,
) -> Averaging:
    """Predicted and measured errors of q = c (k_a + k_b), with and without the scale.

    Raises:
        UsageError: fewer than two keys, or more keys than ``width``, which cannot be orthonormal.
    """
    if min(sizes) < 2 or max(sizes) > width:
        raise UsageError(f"sizes must lie between 2 and the width {width}", where="sizes")
    generator = torch.Generator().manual_seed(seed)
    tables = [random_table(n, width, generator) for n in sizes]
    scales = (1.0, math.sqrt(width))
    predicted = [[[leak(c, n, scale=s) for c in strengths] for n in sizes] for s in scales]
    measured = [[[relative_error(t, c, scaled=s > 1) for c in strengths] for t in tables] for s in scales]
    needed = [[[strength_for(e, n, 1.0, scale=s) for n in sizes] for e in tolerances] for s in scales]
    return Averaging(
        sizes=tuple(sizes),
        width=width,
        strengths=tuple(strengths),
        predicted=torch.tensor(predicted, dtype=torch.float64),
        measured=torch.tensor(measured, dtype=torch.float64),
        tolerances=tuple(tolerances),
        needed=torch.tensor(needed, dtype=torch.float64),
        seed=seed,
    )


def random_table(keys: int, width: int, generator: torch.Generator) -> Lookup:
    """Orthonormal keys [n, h], random values [n, h], and the query k_0 + k_1."""
    square = torch.randn(width, keys, generator=generator, dtype=torch.float64)
    rows = torch.linalg.qr(square).Q.T
    values = torch.randn(keys, width, generator=generator, dtype=torch.float64)
    return Lookup(rows[0] + rows[1], rows, values)


def relative_error(table: Lookup, strength: float, *, scaled: bool = False) -> float:
    """||out - (v_0 + v_1) / 2|| / G for the query c (k_0 + k_1); not divided where there are two keys."""
    query = strength * (table.keys[0] + table.keys[1])
    weight = weights.softmax(weights.scores(query, table.keys, scaled=scaled))
    away = table.values - (table.values[0] + table.values[1]) / 2  # [n, d], free of cancellation
    size = float(gap_vector(table.values, 0, 1).norm())
    return float((weight @ away).norm()) / (size or 1.0)


def figure(result: Averaging) -> Figure:
    """Error by c, one panel without the scale and one with it; c = 1/2 is marked."""
    drawn, axes = drawing.panels(2, width=5.4, height=4.3)
    titles = ("scores k.q", f"scores k.q / sqrt({result.width})")
    for side, (panel, title) in enumerate(zip(axes, titles, strict=True)):
        _draw(panel, result, side)
        drawing.label(
            panel,
            title=f"Averaging two of n values, {title}:\nclosed form (lines), measured (markers)",
            x="c in q = c (k_a + k_b)",
            y="error / distance to the other values' mean",
        )
        panel.legend(fontsize=8, loc="upper right")
    return drawn


def _draw(axes: Axes, result: Averaging, side: int) -> None:
    for i, n in enumerate(result.sizes):
        if n == 2:
            continue  # with no other key the error is 0 for every c, which a log scale cannot show
        look = drawing.style(i)
        axes.plot(result.strengths, result.predicted[side, i], **{**look, "marker": None})
        axes.plot(result.strengths, result.measured[side, i], **{**look, "linestyle": ""}, label=f"{n} keys")
    axes.axvline(0.5, color="0.4", linewidth=1)
    axes.annotate("c = 1/2", (0.5, 3e-8), (4, 0), textcoords="offset points", fontsize=9, color="0.3")
    axes.set_yscale("log")
    scale = 1 if side == 0 else result.width**0.5
    axes.set_xlim(-scale / 2, 17 * scale)
    axes.set_ylim(1e-8, 2)


def figure_of(own: Average) -> Figure:
    """Error of one table by c: closed form, the plain sum of keys, and the balanced query where they differ."""
    drawn, (axes,) = drawing.panels(1, width=6.5, height=4.3)
    axes.plot(own.strengths, own.closed_path, label="closed form", **{**drawing.style(3), "marker": None})
    axes.plot(
        own.strengths,
        own.path,
        label="measured, q = c (k_a + k_b)",
        markevery=5,
        **{**drawing.style(0), "linestyle": ""},
    )
    if not own.orthonormal and not math.isnan(own.balanced):
        axes.plot(own.strengths, own.balanced_path, label="measured, balanced query", markevery=(2, 5),
                  **{**drawing.style(1), "linestyle": ""})  # fmt: skip
    axes.axhline(own.eps, color="0.4", linewidth=1)
    axes.annotate(f"eps = {own.eps:g}", (float(own.strengths[-1]), own.eps), (0, 4), textcoords="offset points",
                  ha="right", fontsize=9, color="0.3")  # fmt: skip
    axes.axvline(0.5, color="0.4", linewidth=1, linestyle=":")
    axes.annotate("c = 1/2", (0.5, 0), (4, 6), xycoords=("data", "axes fraction"), textcoords="offset points",
                  fontsize=9, color="0.3")  # fmt: skip
    if own.gap > 0:
        axes.set_yscale("log")
    axes.legend(fontsize=8)
    drawing.label(
        axes,
        title=f"Averaging values {own.pair[0]} and {own.pair[1]} of {len(own.weights)}",
        x="c",
        y="distance of the output to the mean of the two",
    )
    return drawn

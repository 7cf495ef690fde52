"""Copying: how far ahead one key must be for attention to return its value within eps.

Let key j score at least m above each of the other n - 1 keys. Each of those then weighs at most e^-m times
what key j weighs, so together they hold at most

    leak(m) = (n - 1) e^-m / (1 + (n - 1) e^-m),

and because out - v_j = sum over i != j of p_i (v_i - v_j),

    ||out - v_j|| <= leak(m) D      with D = max_i ||v_i - v_j||.

Solved for m, m >= log((n - 1)(D / eps - 1)) is enough for an error of eps. Both hold with equality when all
other keys score exactly m lower and hold the same value, so neither can be improved for all tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import drawing, weights
from welltuned.attention.lookup import Lookup
from welltuned.attention.result import Result
from welltuned.errors import UsageError

_H = _D = 8  # numbers in a key and in a value of the random tables


def error_bound(margin: float, keys: int, spread: float) -> float:
    """The most that ||out - v_j|| can be; ``spread`` is D, the largest ||v_i - v_j||."""
    return weights.leak(margin, keys - 1) * spread


def margin_for(eps: float, keys: int, spread: float) -> float:
    """The least margin that keeps every table's error at or below eps; -inf where any margin does.

    Raises:
        UsageError: eps is not above 0.
    """
    if not eps > 0:
        raise UsageError(f"eps is {eps}", why="softmax gives every key some weight", mend="give eps above 0")
    if keys == 1 or eps >= spread:
        return -math.inf
    return math.log((keys - 1) * (spread / eps - 1))


@dataclass(frozen=True, eq=False)
class Copy(Result):
    """How exactly one table returns one of its values, and what it would take to return it within eps.

    Attributes:
        lookup: the input; scores are divided by its temperature.
        target: j, the row to copy.
        scores: [n] dot products over T.
        margin: m, by how much key j leads the best of the others; negative where it does not lead.
        spread: D, the largest ||v_i - v_j||.
        leaked: weight that the other keys hold.
        error: ||out - v_j||.
        bound: the most that the error of a table with this n, m and D can be.
        eps: the error allowed.
        needed: the margin that is enough for eps; -inf where any is.
        stretch: how many times as long the query must be for that margin; 1 where it is long enough, inf where
            key j does not lead, so that a longer query leads away from it.
        reached: the error measured with the query so stretched.
        stretches: [S] lengths of the query, as multiples of its own.
        errors, bounds: [S] error and bound at each.
    """

    lookup: Lookup
    target: int
    scores: Tensor
    margin: float
    spread: float
    leaked: float
    error: float
    bound: float
    eps: float
    needed: float
    stretch: float
    reached: float
    stretches: Tensor
    errors: Tensor
    bounds: Tensor


def copy(lookup: Lookup, target: int | None = None, eps: float = 0.01) -> Copy:
    """Copy the value in row ``target``, or in the row whose key matches best.

    Raises:
        UsageError: there is no such row, eps is not above 0, or the temperature is 0, where nothing leaks.
    """
    n, temperature = len(lookup.keys), lookup.temperature
    if temperature == 0:
        raise UsageError("at temperature 0 there is nothing to bound", why="argmax copies exactly", mend="give T > 0")
    score = weights.scores(lookup.query, lookup.keys) / temperature
    j = int(score.argmax()) if target is None else target
    if not 0 <= j < n:
        raise UsageError(f"there is no value {j}", mend=f"give 0 to {n - 1}")
    others = torch.arange(n) != j
    margin = float(score[j] - score[others].max()) if n > 1 else math.inf
    away = lookup.values - lookup.values[j]  # [n, d], free of cancellation
    spread = float(away.norm(dim=1).max())
    weight = weights.softmax(score)
    needed = margin_for(eps, n, spread)
    stretch = _stretch(margin, needed, weights.rounding(lookup) / temperature)
    stretches = torch.linspace(0, 1.5 * max(2.0, stretch if stretch < math.inf else 2.0), 61, dtype=torch.float64)
    return Copy(
        lookup=lookup,
        target=j,
        scores=score,
        margin=margin,
        spread=spread,
        leaked=float(weight[others].sum()),
        error=float((weight @ away).norm()),
        bound=error_bound(margin, n, spread),
        eps=eps,
        needed=needed,
        stretch=stretch,
        reached=float((weights.softmax(score * stretch) @ away).norm()) if stretch < math.inf else math.nan,
        stretches=stretches,
        errors=(weights.softmax(stretches[:, None] * score) @ away).norm(dim=1),
        bounds=_table([error_bound(float(s) * margin if n > 1 else math.inf, n, spread) for s in stretches]),
    )


def _stretch(margin: float, needed: float, rounding: float) -> float:
    if margin >= needed:
        return 1.0
    return needed / margin if margin > rounding else math.inf


@dataclass(frozen=True, eq=False)
class Copying(Result):
    """Errors of copying, each divided by D, so that 1 is the distance to the farthest other value.

    Attributes:
        sizes: [N] numbers of keys.
        margins: [M] score gaps.
        bound: [N, M] leak(m).
        worst: [N, M] measured on the worst table: all rivals at the margin, all with the same value.
        random: [N, M] largest error measured over ``trials`` random tables of each kind.
        tolerances: [E] values of eps / D.
        needed: [E, N] margin_for(eps) at each number of keys.
        reached: [E, N] error measured on the worst table at exactly that margin, over eps.
        trials: random tables a cell.
        seed: of the random tables.
    """

    sizes: tuple[int, ...]
    margins: tuple[float, ...]
    bound: Tensor
    worst: Tensor
    random: Tensor
    tolerances: tuple[float, ...]
    needed: Tensor
    reached: Tensor
    trials: int
    seed: int


def measure(
    sizes: Sequence[int] = (2, 10, 100, 1000),
    margins: Sequence[float] = tuple(range(0, 21, 2)),
    tolerances: Sequence[float] = (0.1, 0.01, 0.001),
    *,
    trials: int = 20,
    seed: int = 0,
) -> Copying:
    """Errors of copying on worst and random tables, beside the bound.

    Raises:
        UsageError: a table would have fewer than two keys.
    """
    if min(sizes) < 2:
        raise UsageError("copying is only a question with two or more keys", where="sizes")
    generator = torch.Generator().manual_seed(seed)
    needed = [[margin_for(eps, n, 1.0) for n in sizes] for eps in tolerances]
    reached = [
        [relative_error(worst_table(n, m)) / eps for n, m in zip(sizes, row, strict=True)]
        for eps, row in zip(tolerances, needed, strict=True)
    ]
    return Copying(
        sizes=tuple(sizes),
        margins=tuple(margins),
        bound=_table([[weights.leak(m, n - 1) for m in margins] for n in sizes]),
        worst=_table([[relative_error(worst_table(n, m)) for m in margins] for n in sizes]),
        random=_table([[_largest(n, m, trials, generator) for m in margins] for n in sizes]),
        tolerances=tuple(tolerances),
        needed=_table(needed),
        reached=_table(reached),
        trials=trials,
        seed=seed,
    )


def relative_error(table: Lookup) -> float:
    """||out - v_0|| / max_i ||v_i - v_0|| of a lookup at T = 1, whose first key is the one to copy."""
    weight = weights.softmax(weights.scores(table.query, table.keys))
    away = table.values - table.values[0]  # [n, d]; the output of these is out - v_0 without cancellation
    return float((weight @ away).norm() / away.norm(dim=1).max())


def worst_table(keys: int, margin: float) -> Lookup:
    """The table that meets the bound: every rival exactly ``margin`` lower, every rival's value the same."""
    query = torch.tensor([1.0, 0.0], dtype=torch.float64)
    table = torch.zeros(keys, 2, dtype=torch.float64)
    table[1:, 0] = -margin
    values = torch.ones(keys, 1, dtype=torch.float64)
    values[0] = 0
    return Lookup(query, table, values)


def random_table(keys: int, margin: float, generator: torch.Generator) -> Lookup:
    """Random values, and random keys moved along the query until the first leads by exactly ``margin``."""
    query, rows, values = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((_H,), (keys, _H), (keys, _D))
    )
    behind = -torch.rand(keys, generator=generator, dtype=torch.float64).neg().log1p()  # exponential
    behind[1:] += margin - behind[1:].min()
    behind[0] = 0
    move = -behind - rows @ query  # [n] what each score still lacks
    return Lookup(query, rows + move[:, None] * query / query.dot(query), values)


def _largest(keys: int, margin: float, trials: int, generator: torch.Generator) -> float:
    return max(relative_error(random_table(keys, margin, generator)) for _ in range(trials))


def _table(rows: list[Any]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def figure(result: Copying) -> Figure:
    """Left: error by margin and number of keys. Right: the margin that a tolerance needs."""
    drawn, (left, right) = drawing.panels(2, width=5.4, height=4.3)
    for i, n in enumerate(result.sizes):
        look = drawing.style(i)
        left.plot(result.margins, result.bound[i], **{**look, "marker": None})
        left.plot(result.margins, result.worst[i], **{**look, "linestyle": ""}, label=f"{n} keys")
        left.plot(result.margins, result.random[i], **{**look, "linestyle": ""}, fillstyle="none")
    left.set_yscale("log")
    drawing.label(
        left,
        title="Copy error: bound (lines), worst table (filled),\nlargest over random tables (hollow)",
        x="margin: score gap to the best rival",
        y="error / distance to the farthest value",
    )
    for i, eps in enumerate(result.tolerances):
        right.plot(result.sizes, result.needed[i], label=f"error at most {eps:g} of D", **drawing.style(i))
    right.set_xscale("log")
    drawing.label(
        right,
        title="Margin needed grows like log(keys / tolerance)",
        x="number of keys (log scale)",
        y="margin that suffices",
    )
    for axes in (left, right):
        axes.legend(fontsize=8)
    return drawn


def figure_of(own: Copy) -> Figure:
    """Error of one table by the length of its query, the bound, and where the error is at most eps."""
    drawn, (axes,) = drawing.panels(1, width=6.5, height=4.3)
    axes.plot(own.stretches, own.bounds, label="bound", **{**drawing.style(3), "marker": None})
    axes.plot(own.stretches, own.errors, label="measured", markevery=6, **drawing.style(0))
    axes.axhline(own.eps, color="0.4", linewidth=1)
    axes.annotate(f"eps = {own.eps:g}", (float(own.stretches[-1]), own.eps), (0, 4), textcoords="offset points",
                  ha="right", fontsize=9, color="0.3")  # fmt: skip
    if 1 < own.stretch < math.inf:
        axes.axvline(own.stretch, color="0.4", linewidth=1, linestyle=":")
        axes.annotate(f"enough: {own.stretch:.3g}", (own.stretch, 1), (4, -12), xycoords=("data", "axes fraction"),
                      textcoords="offset points", fontsize=9, color="0.3")  # fmt: skip
    if bool((own.errors > 0).any()):
        axes.set_yscale("log")
    axes.legend(fontsize=8, loc="lower left")
    drawing.label(
        axes,
        title=f"Copying value {own.target}: a longer query copies better" if own.stretch < math.inf
        else f"Value {own.target} is not copied: its key does not lead",
        x="length of the query, as a multiple of its own",
        y="distance of the output to the value",
    )  # fmt: skip
    return drawn

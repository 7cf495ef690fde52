"""Extracting v_a from the average of v_a and v_b when the two lie in different subspaces.

Let v_a be any combination of the columns a_1..a_r of A, and v_b of the columns of B, every a_i orthogonal to
every b_j. Attention hands over the mixture (v_a + v_b) / 2. A matrix M with M mixture = v_a is twice the
orthogonal projection on span(A):

    orthonormal columns             M = 2 sum_i a_i a_i^T
    orthogonal columns              M = 2 sum_i a_i a_i^T / ||a_i||^2
    independent columns             M = 2 A (A^T A)^-1 A^T
    A and B independent, not        M = 2 A (A^T R A)^-1 A^T R     with R = I - B (B^T B)^-1 B^T,
      orthogonal to each other      the oblique projection on span(A) along span(B)

The 2 undoes the average: without it M mixture = v_a / 2. For a mix w v_a + (1 - w) v_b it becomes 1 / w. Each line
also covers those above it. Where the third is used on bases that are not orthogonal to each other it returns
v_a + P v_b, P the projection on span(A): wrong by exactly what of v_b lies along span(A).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import drawing
from welltuned.attention.result import Result
from welltuned.errors import UsageError


def orthonormal(a: Tensor, share: float = 0.5) -> Tensor:
    """M [d, d] = sum_i a_i a_i^T / share for columns a_i of A [d, r] that are orthonormal."""
    return (a @ a.T).div(share)


def orthogonal(a: Tensor, share: float = 0.5) -> Tensor:
    """M [d, d] = sum_i a_i a_i^T / ||a_i||^2 / share for columns of A [d, r] that are orthogonal."""
    return (a.div(a.square().sum(0)) @ a.T).div(share)


def independent(a: Tensor, share: float = 0.5) -> Tensor:
    """M [d, d] = A (A^T A)^-1 A^T / share for columns of A [d, r] that are linearly independent.

    Raises:
        UsageError: the columns are linearly dependent.
    """
    _check_independent(a)
    q = torch.linalg.qr(a).Q  # the same projection without squaring A's condition number
    return torch.div(q @ q.T, share)


def oblique(a: Tensor, b: Tensor, share: float = 0.5) -> Tensor:
    """M [d, d] that keeps span(A) and sends span(B) to 0, over share; A [d, r], B [d, p].

    Raises:
        UsageError: the columns of A and B together are linearly dependent.
    """
    both = torch.cat([a, b], dim=1)  # [d, r + p]
    _check_independent(both)
    coordinates = torch.linalg.pinv(both)[: a.shape[1]]  # [r, d]: a vector's part along each a_i
    return torch.div(a @ coordinates, share)


def _check_independent(columns: Tensor) -> None:
    if int(torch.linalg.matrix_rank(columns)) < columns.shape[1]:
        raise UsageError(
            "the basis vectors are linearly dependent",
            why="a vector in their span then has no single decomposition",
            mend="drop the vectors that the others can express",
        )


@dataclass(frozen=True, eq=False)
class Extract(Result):
    """What each formula makes of one mixture of two vectors.

    Attributes:
        mixture: [d] share v_a + (1 - share) v_b.
        share: 1/2 for the average.
        formulas: [F] names, in words that carry the factor 1 / share.
        returned: [F, d] M mixture.
        error: [F] ||returned - v_a||.
        kind: what the basis of A is: orthonormal, orthogonal or independent.
        apart: whether every a_i is orthogonal to every b_j.
    """

    mixture: Tensor
    share: float
    formulas: tuple[str, ...]
    returned: Tensor
    error: Tensor
    kind: str
    apart: bool


def extract(a: Tensor, b: Tensor, v_a: Tensor, v_b: Tensor, share: float = 0.5) -> Extract:
    """Take v_a [d], in the span of A [d, r], out of a mixture with v_b [d], in the span of B [d, p].

    Raises:
        UsageError: the columns of A and B together are dependent, a vector is not in its span, or the share is
            not between 0 and 1.
    """
    if not 0 < share <= 1:
        raise UsageError(f"v_a has the share {share:g} of the mixture", mend="give more than 0 and at most 1")
    _check_independent(torch.cat([a, b], dim=1))
    _check_within(v_a, a, "v_a", "a's")
    _check_within(v_b, b, "v_b", "b's")
    mixture = share * v_a + (1 - share) * v_b
    returned = torch.stack([formula(a, b, share) @ mixture for formula in _FORMULAS.values()])
    return Extract(
        mixture=mixture,
        share=share,
        formulas=tuple(name.replace("\n", " ") for name in _names(1 / share)),
        returned=returned,
        error=(returned - v_a).norm(dim=1),
        kind=_kind_of(a),
        apart=bool((torch.div(a, a.norm(dim=0)).T @ torch.div(b, b.norm(dim=0))).abs().max() < _SAME),
    )


_SAME = 1e-9


def _kind_of(a: Tensor) -> str:
    products = a.T @ a
    lengths = products.diagonal()
    cosines = products / (lengths.sqrt()[:, None] * lengths.sqrt())
    if float((cosines - torch.eye(len(cosines), dtype=a.dtype)).abs().max()) > _SAME:
        return "independent"
    return "orthonormal" if float((lengths - 1).abs().max()) < _SAME else "orthogonal"


def _check_within(vector: Tensor, basis: Tensor, name: str, basis_name: str) -> None:
    outside = float((vector - independent(basis, share=1.0) @ vector).norm())
    if outside > _SAME * (1 + float(vector.norm())):
        raise UsageError(
            f"{name} is no combination of the {basis_name}: {outside:.3g} of it lies outside their span",
            why="only what lies in the span can be returned",
            mend=f"give {name} as a sum of multiples of the {basis_name}",
        )


@dataclass(frozen=True, eq=False)
class Extracting(Result):
    """How well each formula returns v_a from the average, over kinds of bases.

    Attributes:
        kinds: [K] kinds of bases A, B.
        formulas: [F] names of formulas.
        error: [K, F] largest ||M mixture - v_a|| / ||v_a|| over the trials.
        plane: [4, 2] an example to draw: v_a, v_b, their mixture, and M mixture without the 2.
        trials, seed: of the random bases.
    """

    kinds: tuple[str, ...]
    formulas: tuple[str, ...]
    error: Tensor
    plane: Tensor
    trials: int
    seed: int


Formula = Callable[[Tensor, Tensor, float], Tensor]
_FORMULAS: dict[str, Formula] = {  # each name with a place for the factor, 1 / share
    "projection\n(no {})": lambda a, b, share: independent(a, share=1.0),  # noqa: ARG005
    "{} sum aa'": lambda a, b, share: orthonormal(a, share),  # noqa: ARG005
    "{} sum aa'/|a|²": lambda a, b, share: orthogonal(a, share),  # noqa: ARG005
    "{} A(A'A)⁻¹A'": lambda a, b, share: independent(a, share),  # noqa: ARG005
    "oblique": oblique,
}


def _names(factor: float) -> tuple[str, ...]:
    return tuple(name.format(f"{factor:g}") for name in _FORMULAS)


_KINDS = ("A orthonormal", "A orthogonal", "A independent", "A not orthogonal to B")


def measure(*, width: int = 12, rank: int = 3, trials: int = 20, seed: int = 0) -> Extracting:
    """Errors of every formula on random bases of every kind, the ones it is made for and the others.

    Raises:
        UsageError: two subspaces of that rank do not fit into the width.
    """
    if not 1 <= rank <= width // 2:
        raise UsageError(f"two subspaces of rank {rank} do not fit in width {width}", where="rank")
    generator = torch.Generator().manual_seed(seed)
    error = torch.zeros(len(_KINDS), len(_FORMULAS), dtype=torch.float64)
    for k, kind in enumerate(_KINDS):
        for _ in range(trials):
            a, b = random_bases(kind, width, rank, generator)
            error[k] = error[k].maximum(_errors(a, b, generator))
    return Extracting(_KINDS, _names(2), error, _plane(), trials, seed)


def random_bases(kind: str, width: int, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Bases A, B [width, rank] of one of the kinds; each kind loosens one more assumption."""
    start = torch.randn(width, 2 * rank, generator=generator, dtype=torch.float64)
    a, b = torch.linalg.qr(start).Q.split(rank, dim=1)
    step = _KINDS.index(kind)
    if step >= 1:
        a = a * (0.5 + 2 * torch.rand(rank, generator=generator, dtype=torch.float64))
    if step >= 2:
        mix = torch.randn(rank, rank, generator=generator, dtype=torch.float64)
        a = a @ (mix + 3 * torch.eye(rank, dtype=torch.float64))
    if step >= 3:
        b = b + 0.5 * a / a.norm(dim=0)
    return a, b


def _errors(a: Tensor, b: Tensor, generator: torch.Generator) -> Tensor:
    rank = a.shape[1]
    v_a = a @ torch.randn(rank, generator=generator, dtype=torch.float64)
    v_b = b @ torch.randn(rank, generator=generator, dtype=torch.float64)
    average = (v_a + v_b) / 2
    found = torch.stack([formula(a, b, 0.5) @ average for formula in _FORMULAS.values()])  # [F, d]
    return torch.div((found - v_a).norm(dim=1), v_a.norm())


def _plane() -> Tensor:
    a = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    v_a, v_b = (torch.tensor(v, dtype=torch.float64) for v in ([2.0, 0.0], [0.0, 1.6]))
    average = (v_a + v_b) / 2
    return torch.stack([v_a, v_b, average, orthonormal(a, share=1.0) @ average])


def figure(result: Extracting) -> Figure:
    """Left: the geometry in a plane. Right: every formula on every kind of basis."""
    drawn, (left, right) = drawing.panels(2, width=5.8, height=4.2)
    _draw_plane(left, result.plane)
    exact = 1e-10  # far above rounding, far below every real error
    text = [["exact" if e < exact else f"{e:.2f}" for e in row] for row in result.error.tolist()]
    digits = result.error.clamp_min(exact).log10()
    drawing.grid(right, digits, text=text, rows=result.kinds, columns=result.formulas, low=-10.0, high=2.0)
    right.set_title("|M mixture - v_a| / |v_a|, the largest of the trials", fontsize=10.5)
    right.tick_params(axis="x", labelsize=8)
    right.set(xlabel="formula for M (a' is a transposed)", ylabel="kind of bases")
    return drawn


def _draw_plane(axes: Axes, plane: Tensor) -> None:
    names = ("v_a = M mixture", "v_b", "mixture = (v_a + v_b)/2", "without the 2: v_a / 2")
    offsets = ((-60, 8), (8, -4), (8, 4), (-40, -16))
    for i, (name, offset) in enumerate(zip(names, offsets, strict=True)):
        x, y = plane[i].tolist()
        look = drawing.style(i)
        line = {"color": look["color"], "linestyle": look["linestyle"], "lw": 2}
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", **line})
        axes.annotate(name, (x, y), offset, textcoords="offset points", color=look["color"])
    axes.plot(*zip(plane[2].tolist(), plane[3].tolist(), strict=True), color="0.5", linestyle=":", linewidth=1)
    axes.set(xlim=(-0.3, 2.6), ylim=(-0.4, 2.0), aspect="equal")
    drawing.label(axes, title="Project the mixture on the a's, then double", x="direction of a", y="direction of b")

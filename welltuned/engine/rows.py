"""Attention with dropout on a CPU, a few rows of the batch at a time.

Vaswani et al. 2017, equation 1, with dropout on the weights: O = ((m * E) V) / (q l), E = exp(s Q K^T + mask), where l
is the sum of each of E's rows and m ~ Bernoulli(q). The weights of a few rows fit the processor's cache, so the passes
over them cost little beside the products; and they take part with their own length, not with that of the longest row of
the batch. What can be done to tensors of the head's width instead of the weights is done there: s, 1 / q and 1 / l.

Backward follows FlashAttention (Dao et al. 2022, appendix B.4): with D = m * E and A = dO / (q l), dV = D^T A,
dD = A V^T, and dS = D * dD - E * r, where r = sum(dO * O) / l along the head's width.

A softmax takes each row's largest score off first, which changes nothing but keeps exp within the range of its numbers.
Finding it costs as much as two products, so it is done only where l shows that it is needed.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from welltuned.engine.dropout import draw_mask

CACHED = 3_000_000
"""Weights of so many bytes are worked on at once."""
FULL = 0.9
"""Rows go side by side where so much of what they take together is their own and not padding."""
SAFE = 1e-12, 1e12
"""Within these, l and what is multiplied by it or divided stays far from the ends of fp32's and bf16's range."""
_INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By bytes: a number times 0 or 1 is the same in integers, and in bf16 faster there."""


@dataclass(frozen=True)
class _Piece:
    """Some rows with all their heads, or some heads of one row.

    Attributes:
        tokens: t, of the longest row.
        lengths: of the rows, where they differ.
        mask: additive, broadcasts over [R, g, t, t]; where more is hidden than padding.
    """

    rows: slice
    heads: slice
    tokens: int
    lengths: Sequence[int] | None
    mask: Tensor | None

    def of(self, tensor: Tensor) -> Tensor:
        """[R * g, t, k] of a tensor [B, h, T, k]."""
        part = tensor[self.rows, self.heads, : self.tokens]
        return part.reshape(-1, self.tokens, tensor.shape[-1])

    def stored(self, tensor: Tensor) -> Tensor:
        """[R * g, t, t] of a store [B, h * T * T], where a piece's numbers stand without gaps."""
        area = self.tokens**2
        count = (self.rows.stop - self.rows.start) * (self.heads.stop - self.heads.start)
        start = self.rows.start * tensor.shape[1] + self.heads.start * area
        return tensor.view(-1)[start : start + count * area].view(count, self.tokens, self.tokens)

    def hide(self, scores: Tensor) -> None:
        """Minus infinity for the scores [R * g, t, t] of what is not seen."""
        of_rows = scores.view(self.rows.stop - self.rows.start, -1, self.tokens, self.tokens)
        if self.mask is not None:
            of_rows.add_(self.mask)
        for row, length in enumerate(self.lengths or ()):
            of_rows[row, :, :, length:] = float("-inf")

    def put(self, tensor: Tensor, part: Tensor) -> None:
        """Write [R * g, t, k] into a tensor [B, T, h, k], and nothing behind it."""
        to = tensor[self.rows, : self.tokens, self.heads]  # [R, t, g, k]
        to.copy_(part.view(to.shape[0], to.shape[2], self.tokens, -1).transpose(1, 2))
        if self.tokens < tensor.shape[1]:
            tensor[self.rows, self.tokens :, self.heads] = 0


def _pieces(mask: Tensor | None, rows: int, heads: int, tokens: int, limit: int) -> list[_Piece]:
    """All rows and heads, cut so that a piece has at most ``limit`` weights where it can.

    Rows side by side are those that follow one another and have nearly the same length.
    """
    seen, found, at = _visible(mask, rows, tokens), [], 0
    while at < rows:
        longest, extra = seen[at]
        own, end = longest**2, at + 1
        while extra is None and end < rows and seen[end][1] is None:
            longer = max(longest, seen[end][0])
            area, together = longer**2, own + seen[end][0] ** 2
            if (end + 1 - at) * heads * area > limit or together < FULL * (end + 1 - at) * area:
                break
            longest, own, end = longer, together, end + 1
        own_lengths = [length for length, _ in seen[at:end]]
        size = heads if end > at + 1 else max(1, limit // longest**2)
        found += [
            _Piece(
                slice(at, end),
                slice(start, min(heads, start + size)),
                longest,
                own_lengths if min(own_lengths) < longest else None,
                extra,
            )
            for start in range(0, heads, size)
        ]
        at = end
    return found


_seen: tuple[weakref.ref[Tensor], int, list[tuple[int, Tensor | None]]] | None = None


def _visible(mask: Tensor | None, rows: int, tokens: int) -> list[tuple[int, Tensor | None]]:
    """For each row its length, and its part of the additive mask [B, 1, T, T] where that hides more than padding.

    All layers of a model share their masks, so the answer for the last one is kept.
    """
    global _seen
    if mask is None:
        return [(tokens, None)] * rows
    if _seen is not None and _seen[0]() is mask and _seen[1] == mask._version:
        return _seen[2]
    visible = mask[:, 0] == 0  # [B, T, T]
    lengths = (visible.any(dim=1) * torch.arange(1, tokens + 1)).amax(dim=1).tolist()
    whole = [bool(visible[row, :length, :length].all()) for row, length in enumerate(lengths)]
    found = [(length, None if whole[row] else mask[row, 0, :length, :length]) for row, length in enumerate(lengths)]
    _seen = (weakref.ref(mask), mask._version, found)
    return found


def _kept(keep: Tensor, weights: Tensor) -> Tensor:
    """m * E: what dropout keeps, of m in bytes and E, both [R * g, t, t]."""
    integers = _INTEGERS[weights.itemsize]
    return keep.to(integers).mul_(weights.view(integers)).view(weights.dtype)


def _wide(dtype: torch.dtype) -> torch.dtype:
    """fp32 or better, for numbers of which there is one a row of weights."""
    return torch.promote_types(dtype, torch.float32)


def _exponentials(scores: Tensor, out: Tensor) -> Tensor:
    """E [R * g, t, t] into ``out``; returns l [R * g, t, 1], wide, though rounded as E's numbers are."""
    torch.exp(scores, out=out)
    sums = out.sum(dim=-1, keepdim=True).to(_wide(out.dtype))
    least, largest = (float(bound) for bound in sums.aminmax())
    if SAFE[0] <= least and largest <= SAFE[1]:
        return sums
    torch.softmax(scores, dim=-1, out=out)
    return torch.ones_like(sums)


@torch.library.custom_op("welltuned::attend", mutates_args=())
def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, threshold: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The output [B, T, h, k], and for backward E, what dropout kept, and 1 / (q l) [B, h, T, 1]."""
    rows, heads, tokens, width = query.shape
    out = query.new_empty(rows, tokens, heads, width)
    weights = query.new_empty(rows, heads * tokens**2)
    keep = torch.empty(rows, heads * tokens**2, dtype=torch.uint8)
    shares = torch.empty(rows, heads, tokens, 1, dtype=_wide(query.dtype))
    with torch.autocast("cpu", enabled=False):
        for piece in _pieces(mask, rows, heads, tokens, CACHED // query.itemsize):
            scores = torch.bmm(piece.of(query) * scale, piece.of(key).transpose(1, 2))
            piece.hide(scores)
            e, kept = piece.stored(weights), piece.stored(keep)
            share = (256 / threshold) / _exponentials(scores, e)
            draw_mask(kept, threshold)
            piece.put(out, torch.bmm(_kept(kept, e), piece.of(value)) * share)
            to = shares[piece.rows, piece.heads, : piece.tokens]
            to.copy_(share.view(to.shape))
    return out, weights, keep, shares


@_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, threshold: int) -> Any:  # noqa: ARG001
    rows, heads, tokens, width = query.shape
    out = query.new_empty(rows, tokens, heads, width)
    weights = query.new_empty(rows, heads * tokens**2)
    shares = query.new_empty(rows, heads, tokens, 1, dtype=_wide(query.dtype))
    return out, weights, torch.empty_like(weights, dtype=torch.uint8), shares


@torch.library.custom_op("welltuned::attend_backward", mutates_args=())
def _attend_backward(
    upstream: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    out: Tensor,
    weights: Tensor,
    keep: Tensor,
    shares: Tensor,
    scale: float,
    threshold: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients [B, T, h, k] of query, key and value, from that of the output."""
    rows, heads, tokens, width = query.shape
    gradients = [query.new_empty(rows, tokens, heads, width) for _ in range(3)]
    upstream, dtype = upstream.transpose(1, 2), query.dtype  # dO [B, h, T, k]
    along = (upstream * out.transpose(1, 2)).sum(dim=-1, keepdim=True, dtype=shares.dtype)  # [B, h, T, 1]
    along = along.mul_(shares).mul_(scale * threshold / 256).to(dtype)  # s r
    with torch.autocast("cpu", enabled=False):
        for piece in _pieces(mask, rows, heads, tokens, CACHED // query.itemsize):
            e, above = piece.stored(weights), (piece.of(upstream) * piece.of(shares)).to(dtype)  # E, A
            kept = _kept(piece.stored(keep), e)  # D
            inner = torch.bmm(above, (piece.of(value) * scale).transpose(1, 2)).mul_(kept)
            inner.addcmul_(e, piece.of(along), value=-1)  # s dS
            piece.put(gradients[0], torch.bmm(inner, piece.of(key)))
            piece.put(gradients[1], torch.bmm(inner.transpose(1, 2), piece.of(query)))
            piece.put(gradients[2], torch.bmm(kept.transpose(1, 2), above))
    return gradients[0], gradients[1], gradients[2]


@_attend_backward.register_fake
def _(upstream: Tensor, query: Tensor, *_: Any, **__: Any) -> Any:  # noqa: ARG001
    rows, heads, tokens, width = query.shape
    one, two, three = (query.new_empty(rows, tokens, heads, width) for _ in range(3))
    return one, two, three


class _RowAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, threshold: int
    ) -> Tensor:
        out, weights, keep, shares = _attend(query, key, value, mask, scale, threshold)
        ctx.save_for_backward(query, key, value, mask, out, weights, keep, shares)
        ctx.numbers = scale, threshold
        return cast(Tensor, out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found = _attend_backward(gradients[0], *ctx.saved_tensors, *ctx.numbers)
        return (*(one.transpose(1, 2) for one in found), None, None, None)


def row_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, threshold: int
) -> Tensor:
    """O = (m * P / q) V, row by row.

    Args:
        query, key, value: [B, h, T, k] on a CPU.
        mask: [B, 1, T, T], additive, 0 where a key is seen; rows are padded on the right. Or None.
        scale: s.
        threshold: keep rate q times 256, 1 to 256; at 256 nothing is dropped.

    Returns:
        [B, T, h, k]; without meaning at a row's padding.
    """
    return cast(Tensor, _RowAttention.apply(query, key, value, mask, scale, threshold))

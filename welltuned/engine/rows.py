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
from welltuned.joined import Layout

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
        start: the first row's first token, of the N.
        rows: R.
        stride: tokens that each row takes up.
        heads: g of the h.
        tokens: t, of the longest row.
        lengths: of the rows, where they differ.
        at: where its weights begin in a store.
        mask: [t, t], additive; where more is hidden than padding.
    """

    start: int
    rows: int
    stride: int
    heads: slice
    tokens: int
    lengths: Sequence[int] | None
    at: int
    mask: Tensor | None

    @property
    def weights(self) -> int:
        """R * g * t * t."""
        return int(self.rows * (self.heads.stop - self.heads.start) * self.tokens**2)

    def _part(self, tensor: Tensor) -> Tensor:
        """[R, stride, g, k] of a tensor [N, h, k]."""
        whole = tensor[self.start : self.start + self.rows * self.stride, self.heads]
        return whole.view(self.rows, self.stride, *whole.shape[1:])

    def of(self, tensor: Tensor) -> Tensor:
        """[R * g, t, k] of a tensor [N, h, k]."""
        part = self._part(tensor)[:, : self.tokens].transpose(1, 2)
        return part.reshape(-1, self.tokens, tensor.shape[-1])

    def stored(self, tensor: Tensor) -> Tensor:
        """[R * g, t, t] of a store, where a piece's numbers stand without gaps."""
        return tensor[self.at : self.at + self.weights].view(-1, self.tokens, self.tokens)

    def hide(self, scores: Tensor) -> None:
        """Minus infinity for the scores [R * g, t, t] of what is not seen."""
        of_rows = scores.view(self.rows, -1, self.tokens, self.tokens)
        if self.mask is not None:
            of_rows.add_(self.mask)
        for row, length in enumerate(self.lengths or ()):
            of_rows[row, :, :, length:] = float("-inf")

    def put(self, tensor: Tensor, part: Tensor) -> None:
        """Write [R * g, t, k] into a tensor [N, h, k], and nothing behind it."""
        to = self._part(tensor)  # [R, stride, g, k]
        to[:, : self.tokens] = part.view(self.rows, -1, self.tokens, part.shape[-1]).transpose(1, 2)
        if self.tokens < self.stride:
            to[:, self.tokens :] = 0


def _pieces(
    mask: Tensor | None, lengths: Sequence[int], strides: Sequence[int], heads: int, limit: int
) -> list[_Piece]:
    """All rows and heads, cut so that a piece has at most ``limit`` weights where it can.

    Rows side by side are those that follow one another, take up as much, and have nearly the same length.
    """
    found, row, start, at = [], 0, 0, 0
    of_each_row = mask is not None and len(mask) > 1
    while row < len(lengths):
        longest, own, end = lengths[row], lengths[row] ** 2, row + 1
        while end < len(lengths) and strides[end] == strides[row] and not of_each_row:
            longer = max(longest, lengths[end])
            area, together = longer**2, own + lengths[end] ** 2
            if (end + 1 - row) * heads * area > limit or together < FULL * (end + 1 - row) * area:
                break
            longest, own, end = longer, together, end + 1
        differ = list(lengths[row:end]) if min(lengths[row:end]) < longest else None
        hidden = None if mask is None else mask[row if of_each_row else 0, 0, :longest, :longest]
        size = heads if end > row + 1 else max(1, limit // longest**2)
        for first in range(0, heads, size):
            some = slice(first, min(heads, first + size))
            piece = _Piece(start, end - row, strides[row], some, longest, differ, at, hidden)
            found.append(piece)
            at += piece.weights
        start += sum(strides[row:end])
        row = end
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
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    lengths: Sequence[int],
    strides: Sequence[int],
    scale: float,
    threshold: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The output [N, h, k], and for backward E, what dropout kept, and 1 / (q l) [N, h, 1]."""
    pieces = _pieces(mask, lengths, strides, query.shape[1], CACHED // query.itemsize)
    out, weights, keep, shares = _stores(query, pieces)
    with torch.autocast("cpu", enabled=False):
        for piece in pieces:
            scores = torch.bmm(piece.of(query) * scale, piece.of(key).transpose(1, 2))
            piece.hide(scores)
            e, kept = piece.stored(weights), piece.stored(keep)
            share = (256 / threshold) / _exponentials(scores, e)
            draw_mask(kept, threshold)
            piece.put(out, torch.bmm(_kept(kept, e), piece.of(value)) * share)
            piece.put(shares, share)
    return out, weights, keep, shares


def _stores(query: Tensor, pieces: Sequence[_Piece]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    weights = query.new_empty(sum(piece.weights for piece in pieces))
    shares = query.new_empty(*query.shape[:2], 1, dtype=_wide(query.dtype))
    out = torch.empty_like(query, memory_format=torch.contiguous_format)
    return out, weights, torch.empty_like(weights, dtype=torch.uint8), shares


@_attend.register_fake
def _(
    query: Tensor,
    key: Tensor,  # noqa: ARG001
    value: Tensor,  # noqa: ARG001
    mask: Tensor | None,
    lengths: Sequence[int],
    strides: Sequence[int],
    *_: Any,
) -> Any:
    return _stores(query, _pieces(mask, lengths, strides, query.shape[1], CACHED // query.itemsize))


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
    lengths: Sequence[int],
    strides: Sequence[int],
    scale: float,
    threshold: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients [N, h, k] of query, key and value, from that of the output."""
    gradients = [torch.empty_like(out) for _ in range(3)]
    dtype = query.dtype
    along = (upstream * out).sum(dim=-1, keepdim=True, dtype=shares.dtype)  # [N, h, 1]
    along = along.mul_(shares).mul_(scale * threshold / 256).to(dtype)  # s r
    with torch.autocast("cpu", enabled=False):
        for piece in _pieces(mask, lengths, strides, query.shape[1], CACHED // query.itemsize):
            e, above = piece.stored(weights), (piece.of(upstream) * piece.of(shares)).to(dtype)  # E, A
            kept = _kept(piece.stored(keep), e)  # D
            inner = torch.bmm(above, (piece.of(value) * scale).transpose(1, 2)).mul_(kept)
            inner.addcmul_(e, piece.of(along), value=-1)  # s dS
            piece.put(gradients[0], torch.bmm(inner, piece.of(key)))
            piece.put(gradients[1], torch.bmm(inner.transpose(1, 2), piece.of(query)))
            piece.put(gradients[2], torch.bmm(kept.transpose(1, 2), above))
    return gradients[0], gradients[1], gradients[2]


@_attend_backward.register_fake
def _(upstream: Tensor, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, out: Tensor, *_: Any) -> Any:  # noqa: ARG001
    one, two, three = (torch.empty_like(out) for _ in range(3))
    return one, two, three


class _RowAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, *given: Any) -> Tensor:
        out, weights, keep, shares = _attend(query, key, value, mask, *given)
        ctx.save_for_backward(query, key, value, mask, out, weights, keep, shares)
        ctx.given = given
        return cast(Tensor, out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        found = _attend_backward(gradients[0], *ctx.saved_tensors, *ctx.given)
        return (*found, None, None, None, None, None)


def row_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    layout: Layout,
    scale: float,
    threshold: int,
) -> Tensor:
    """O = (m * P / q) V, a few rows at a time.

    Args:
        query, key, value: [N, h, k] on a CPU, row after row.
        mask: [B or 1, 1, T, T], additive, 0 where a key is seen: what is hidden besides padding. Or None.
        layout: where rows stand in the N.
        scale: s.
        threshold: keep rate q times 256, 1 to 256; at 256 nothing is dropped.

    Returns:
        [N, h, k]; without meaning at a row's padding.
    """
    given = (list(layout.lengths), list(layout.strides), scale, threshold)
    return cast(Tensor, _RowAttention.apply(query, key, value, mask, *given))


_seen: tuple[weakref.ref[Tensor], int, tuple[Layout, Tensor | None]] | None = None


def seen_through(mask: Tensor | None, rows: int, tokens: int) -> tuple[Layout, Tensor | None]:
    """How the rows of a padded batch stand, by its additive mask [B, 1, T, T], and the mask if it hides more than that.

    All layers of a model share their masks, so the answer for the last one is kept.
    """
    global _seen
    if mask is None:
        return Layout((tokens,) * rows, (tokens,) * rows), None
    if _seen is not None and _seen[0]() is mask and _seen[1] == mask._version:
        return _seen[2]
    visible = mask[:, 0] == 0  # [B, T, T]
    lengths = (visible.any(dim=1) * torch.arange(1, tokens + 1)).amax(dim=1).tolist()
    hides_padding_alone = all(bool(visible[row, :length, :length].all()) for row, length in enumerate(lengths))
    found = Layout(tuple(lengths), (tokens,) * rows), None if hides_padding_alone else mask
    _seen = (weakref.ref(mask), mask._version, found)
    return found

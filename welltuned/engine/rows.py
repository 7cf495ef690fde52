"""Attention with dropout on a CPU, one row of the batch at a time.

Vaswani et al. 2017, equation 1, with dropout on the weights: O = (m * P / q) V, P = softmax(s Q K^T + mask), where
m ~ Bernoulli(q). A row's weights fit the processor's cache, so the passes over them cost little beside the products;
and a row takes part with its own length, not with that of the longest beside it. Backward follows FlashAttention
(Dao et al. 2022, appendix B.4): with D = m * P / q, dV = D^T dO, dD = dO V^T, and dS = D * dD - P * r, where
r = sum(dO * O) along the head's width.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from welltuned.engine.dropout import draw_mask

CACHED = 150_000
"""Weights of so many numbers are worked on at once."""


@dataclass(frozen=True)
class _Piece:
    """Some heads of one row: their slice, its length, and what of the mask is more than padding."""

    row: int
    heads: slice
    tokens: int
    mask: Tensor | None

    def of(self, tensor: Tensor) -> Tensor:
        """[g, t, k] of a tensor [B, h, T, k]."""
        return tensor[self.row, self.heads, : self.tokens]

    def stored(self, tensor: Tensor) -> Tensor:
        """[g, t, t] of a store [B, h * T * T], where a row's numbers stand without gaps."""
        area = self.tokens**2
        part = tensor[self.row, self.heads.start * area : self.heads.stop * area]
        return part.view(-1, self.tokens, self.tokens)


def _pieces(mask: Tensor | None, rows: int, heads: int, tokens: int) -> Iterator[_Piece]:
    for row, (length, extra) in enumerate(_visible(mask, rows, tokens)):
        size = max(1, CACHED // length**2)
        for start in range(0, heads, size):
            yield _Piece(row, slice(start, min(heads, start + size)), length, extra)


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


@torch.library.custom_op("welltuned::attend", mutates_args=())
def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, threshold: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The output [B, T, h, k] (zero behind a row's end), and for backward the weights and what dropout kept."""
    rows, heads, tokens, width = query.shape
    out = query.new_zeros(rows, tokens, heads, width)
    weights = query.new_empty(rows, heads * tokens**2)
    keep = torch.empty(rows, heads * tokens**2, dtype=torch.uint8)
    with torch.autocast("cpu", enabled=False):
        for piece in _pieces(mask, rows, heads, tokens):
            scores = torch.bmm(piece.of(query), piece.of(key).transpose(1, 2)).mul_(scale)
            if piece.mask is not None:
                scores.add_(piece.mask)
            p, kept = piece.stored(weights), piece.stored(keep)
            torch.softmax(scores, dim=-1, out=p)
            draw_mask(kept, threshold)
            dropped = kept.to(p.dtype).mul_(p)
            out[piece.row, : piece.tokens, piece.heads] = torch.bmm(dropped, piece.of(value)).transpose(0, 1)
    return out.mul_(256 / threshold), weights, keep


@_attend.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float, threshold: int) -> Any:  # noqa: ARG001
    rows, heads, tokens, width = query.shape
    out = query.new_empty(rows, tokens, heads, width)
    weights = query.new_empty(rows, heads * tokens**2)
    return out, weights, torch.empty_like(weights, dtype=torch.uint8)


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
    scale: float,
    threshold: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients [B, T, h, k] of query, key and value, from that of the output."""
    rows, heads, tokens, width = query.shape
    gradients = [query.new_zeros(rows, tokens, heads, width) for _ in range(3)]
    along = (upstream * out).sum(dim=-1)  # r, [B, T, h]
    with torch.autocast("cpu", enabled=False):
        for piece in _pieces(mask, rows, heads, tokens):
            p, t = piece.stored(weights), piece.tokens
            above = upstream[piece.row, :t, piece.heads].transpose(0, 1)  # [g, t, k]
            dropped = piece.stored(keep).to(p.dtype).mul_(p).mul_(256 / threshold)
            inner = torch.bmm(above, piece.of(value).transpose(1, 2)).mul_(dropped)
            inner.addcmul_(p, along[piece.row, :t, piece.heads].t().unsqueeze(-1), value=-1).mul_(scale)
            found = (
                torch.bmm(inner, piece.of(key)),
                torch.bmm(inner.transpose(1, 2), piece.of(query)),
                torch.bmm(dropped.transpose(1, 2), above),
            )
            for gradient, part in zip(gradients, found, strict=True):
                gradient[piece.row, :t, piece.heads] = part.transpose(0, 1)
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
        out, weights, keep = _attend(query, key, value, mask, scale, threshold)
        ctx.save_for_backward(query, key, value, mask, out, weights, keep)
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
        [B, T, h, k]; zero at a row's padding.
    """
    return cast(Tensor, _RowAttention.apply(query, key, value, mask, scale, threshold))

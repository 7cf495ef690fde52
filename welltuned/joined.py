"""Rows of a batch end to end, as one long row without the padding between them.

Nearly all that an encoder does, it does token by token: embeddings, matrix products, norms, activations, dropout. Of
rows that stand end to end it does this for tokens alone, whatever their lengths. Attention alone must know where each
row ends, which :func:`current` tells it; positions are given, since each row begins anew.

Rows that follow one another and are nearly of one length are padded to the longest of them (to a multiple of 8), so
that attention finds them as one tensor [R, t, ...] and need not go row by row.

Shapes (the letters of :mod:`welltuned.shapes`): a batch is [B, T, ...], joined [1, N, ...].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from welltuned.batches import PAD_MULTIPLE, cut_where_it_pays

A_GROUP = 16
"""What a group costs attention beyond its tokens, in tokens."""


@dataclass(frozen=True)
class Group:
    """Rows that follow one another and stand padded to one length.

    Attributes:
        rows: of the batch.
        start: the first's first token, of the N.
        tokens: t, of each row, padding included.
    """

    rows: slice
    start: int
    tokens: int

    @property
    def count(self) -> int:
        """R."""
        return int(self.rows.stop - self.rows.start)

    def of(self, joined: Tensor) -> Tensor:
        """[R, t, ...], the group's part of a tensor [1, N, ...]."""
        part = joined[0, self.start : self.start + self.count * self.tokens]
        return part.view(self.count, self.tokens, *joined.shape[2:])


@dataclass(frozen=True)
class Layout:
    """Where each row of a batch stands in one row of N tokens.

    Attributes:
        lengths: of each row, its own tokens.
        strides: of each row, the tokens that it takes up with its padding; they sum to N.
    """

    lengths: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, lengths: Sequence[int], longest: int) -> Layout:
        """Rows in groups so that padding and groups cost least together.

        Args:
            lengths: [B]; where they are in order, as the pieces of a batch are, padding is least.
            longest: T, which no row is padded beyond.
        """
        strides: list[int] = []
        for group in cut_where_it_pays(np.asarray(lengths), None, len(lengths), A_GROUP):
            own = lengths[group]
            strides += [min(-(-max(own) // PAD_MULTIPLE) * PAD_MULTIPLE, longest)] * len(own)
        return cls(tuple(lengths), tuple(strides))

    @property
    def tokens(self) -> int:
        """N."""
        return sum(self.strides)

    @cached_property
    def groups(self) -> list[Group]:
        """Rows with the same stride that follow one another."""
        found, row, start = [], 0, 0
        for stride, equal in groupby(self.strides):
            count = len(list(equal))
            found.append(Group(slice(row, row + count), start, stride))
            row, start = row + count, start + count * stride
        return found

    def positions(self, first: int) -> Tensor:
        """[1, N] the position of each token in its row, the first of which is ``first``."""
        found = np.concatenate([np.arange(first, first + stride) for stride in self.strides])
        return torch.from_numpy(found).unsqueeze(0)

    def join(self, batch: Tensor) -> Tensor:
        """[B, T, ...] -> [1, N, ...]."""
        return cast(Tensor, _Join.apply(batch, self))

    def pad(self, joined: Tensor, longest: int) -> Tensor:
        """[1, N, ...] -> [B, T, ...]; without meaning at a row's padding, zero behind that of its group."""
        return cast(Tensor, _Pad.apply(joined, self, longest))


def _join(batch: Tensor, layout: Layout) -> Tensor:
    out = batch.new_empty(1, layout.tokens, *batch.shape[2:])
    for group in layout.groups:
        group.of(out).copy_(batch[group.rows, : group.tokens])
    return out


def _pad(joined: Tensor, layout: Layout, longest: int) -> Tensor:
    out = joined.new_zeros(len(layout.lengths), longest, *joined.shape[2:])
    for group in layout.groups:
        out[group.rows, : group.tokens] = group.of(joined)
    return out


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, batch: Tensor, layout: Layout) -> Tensor:
        ctx.layout, ctx.longest = layout, batch.shape[1]
        return _join(batch, layout)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _pad(gradients[0], ctx.layout, ctx.longest), None


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, joined: Tensor, layout: Layout, longest: int) -> Tensor:
        ctx.layout = layout
        return _pad(joined, layout, longest)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _join(gradients[0], ctx.layout), None, None


_current: ContextVar[Layout | None] = ContextVar("layout", default=None)


def current() -> Layout | None:
    """How the rows stand that go through an encoder now; None where they are a padded batch."""
    return _current.get()


@contextmanager
def standing(layout: Layout) -> Iterator[None]:
    """Within this block an encoder reads rows that stand like this."""
    before = _current.set(layout)
    try:
        yield
    finally:
        _current.reset(before)

"""Rows of a batch end to end, as one long row without the padding between them.

Nearly all that an encoder does, it does token by token: embeddings, matrix products, norms, activations, dropout. Of
rows that stand end to end it does this for tokens alone, whatever their lengths. Attention alone must know where each
row ends, which :func:`current` tells it; positions are given, since each row begins anew.

Rows of several trainings may stand end to end too. What is the same for all of them and goes token by token is then
done at once; what is a training's own (its trained modules, its random stream) is done for its part alone, by
:func:`by_part`.

Rows that follow one another and are nearly of one length are padded to the longest of them (to a multiple of 8), so
that attention finds them as one tensor [R, t, ...] and need not go row by row.

Shapes (the letters of :mod:`welltuned.shapes`): a batch is [B, T, ...], joined [1, N, ...].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
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

    @classmethod
    def following(cls, layouts: Sequence[Layout]) -> Layout:
        """The rows of one after those of the other."""
        lengths = (length for one in layouts for length in one.lengths)
        return cls(tuple(lengths), tuple(stride for one in layouts for stride in one.strides))

    @property
    def longest(self) -> int:
        """T, that of a batch of these rows: the longest's tokens, filled up as batches are."""
        return -(-max(self.lengths) // PAD_MULTIPLE) * PAD_MULTIPLE

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

    def joined(self, batch: Tensor) -> Tensor:
        """:meth:`join` without a gradient, in memory of its own."""
        out = batch.new_empty(1, self.tokens, *batch.shape[2:])
        for group in self.groups:
            group.of(out).copy_(batch[group.rows, : group.tokens])
        return out

    def padded(self, joined: Tensor, longest: int) -> Tensor:
        """:meth:`pad` without a gradient, in memory of its own."""
        out = joined.new_zeros(len(self.lengths), longest, *joined.shape[2:])
        for group in self.groups:
            out[group.rows, : group.tokens] = group.of(joined)
        return out


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, batch: Tensor, layout: Layout) -> Tensor:
        ctx.layout, ctx.longest = layout, batch.shape[1]
        return layout.joined(batch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.layout.padded(gradients[0], ctx.longest), None


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, joined: Tensor, layout: Layout, longest: int) -> Tensor:
        ctx.layout = layout
        return layout.padded(joined, longest)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.layout.joined(gradients[0]), None, None


@dataclass(frozen=True)
class EndToEnd:
    """What lets rows go through a backbone end to end.

    Attributes:
        attention: the one that tells rows apart, by its name with Transformers.
        layout: how rows of these lengths stand, none padded beyond the longest.
    """

    attention: str
    layout: Callable[[Sequence[int], int], Layout]


@dataclass(frozen=True)
class Part:
    """One training's rows among those of several.

    Attributes:
        layout: how they stand.
        own: what is in place while work is done for this part alone.
    """

    layout: Layout
    own: Callable[[], AbstractContextManager[Any]] = nullcontext


_current: ContextVar[Layout | None] = ContextVar("layout", default=None)
_parts: ContextVar[tuple[Part, ...]] = ContextVar("parts", default=())


def current() -> Layout | None:
    """How the rows stand that go through an encoder now; None where they are a padded batch."""
    return _current.get()


@contextmanager
def standing(layout: Layout, parts: Sequence[Part] = ()) -> Iterator[None]:
    """Within this block an encoder reads rows that stand like this.

    Args:
        parts: of several trainings, one after the other; they make up the whole layout.
    """
    before = _current.set(layout), _parts.set(tuple(parts))
    try:
        yield
    finally:
        _current.reset(before[0])
        _parts.reset(before[1])


def by_part(work: Callable[..., Tensor], *tensors: Tensor, dim: int = 1) -> Tensor:
    """Work that each training does for itself: done for its part alone, as if nothing else stood beside it.

    Args:
        work: is given the part's place and its share of each tensor; without parts, 0 and the whole.
        tensors: N tokens along ``dim``.

    Returns:
        What the work returned, N tokens along axis 1.
    """
    parts = _parts.get()
    if not parts:
        return work(0, *tensors)
    shares = zip(*(one.split([part.layout.tokens for part in parts], dim) for one in tensors), strict=True)
    found = []
    for at, (part, share) in enumerate(zip(parts, shares, strict=True)):
        with standing(part.layout), part.own():
            found.append(work(at, *share))
    return torch.cat(found, dim=1)

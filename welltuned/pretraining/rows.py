"""The stream cut into rows of equal length, with nothing between them, and the order in which they are trained on.

Shapes: B rows of T tokens, as everywhere. ::

    Rows.ids     [B, T] int64   CLS, the stream's tokens, SEP; padded on the right
    Rows.starts  [B, T] bool    where a word begins
    Rows.real    [B, T] bool    tokens of the text, which may be masked: no special token, no padding
    Rows.mask    [B, T] int64   1 for tokens, 0 for padding
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from welltuned.errors import UsageError
from welltuned.pretraining.tokens import Stream

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Rows:
    """Packed rows, not masked yet; shapes in the module's legend."""

    ids: Ints
    starts: Bools
    real: Bools
    mask: Ints


@dataclass(frozen=True)
class Packing:
    """How rows are put together for one tokenizer.

    Attributes:
        length: T, special tokens included.
        cls, sep, pad, masked: ids of the special tokens.
        special: every special token's id; these are never masked and never put in at random.
        vocabulary: number of entries.
    """

    length: int
    cls: int
    sep: int
    pad: int
    masked: int
    special: frozenset[int]
    vocabulary: int

    @property
    def room(self) -> int:
        """Tokens of the stream in a row."""
        return self.length - 2

    def count(self, stream: Stream) -> int:
        """Rows that a stream fills, the last one perhaps in part."""
        return math.ceil(len(stream) / self.room)

    def rows(self, stream: Stream, which: Ints) -> Rows:
        """Put these rows together. A separator that would begin a row, or end it twice, is left out."""
        pieces = [self._piece(stream, int(at)) for at in which]
        width = max(len(ids) for ids, _ in pieces) + 2
        ids = np.full((len(pieces), width), self.pad, np.int64)
        starts = np.zeros((len(pieces), width), np.bool_)
        mask = np.zeros((len(pieces), width), np.int64)
        for row, (piece, begins) in enumerate(pieces):
            end = len(piece) + 1
            ids[row, 0], ids[row, 1:end], ids[row, end] = self.cls, piece, self.sep
            starts[row, 1:end] = begins
            mask[row, : end + 1] = 1
        real = ~np.isin(ids, list(self.special))
        return Rows(ids, starts, real, mask)

    def _piece(self, stream: Stream, row: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        start, end = row * self.room, min((row + 1) * self.room, len(stream))
        if end - start > 1 and stream.ids[start] == self.sep:
            start += 1
        if end - start > 1 and stream.ids[end - 1] == self.sep:
            end -= 1
        return stream.ids[start:end], stream.starts[start:end]


def packing(tokenizer: Any, length: int) -> Packing:
    """The packing for a tokenizer.

    Raises:
        UsageError: it lacks a special token that masked-language-model training needs.
    """
    roles = ("cls", "sep", "pad", "mask")
    found = {role: getattr(tokenizer, f"{role}_token_id") for role in roles}
    if lacking := [role for role, value in found.items() if value is None]:
        raise UsageError(
            f"this tokenizer has no {' and no '.join(lacking)} token",
            why="masked-language-model training hides tokens behind one and frames rows by the others",
            mend="choose a model that was pretrained this way, or train a tokenizer with welltuned tokenizer train",
        )
    special = frozenset(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    return Packing(length, found["cls"], found["sep"], found["pad"], found["mask"], special, len(tokenizer))


def rows_of_step(step: int, count: int, batch_size: int, seed: int) -> Ints:
    """The rows of step number ``step`` (from 0): every epoch visits each row once, in an order of its own."""
    per_epoch = math.ceil(count / batch_size)
    epoch, at = divmod(step, per_epoch)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return order[at * batch_size : (at + 1) * batch_size]

"""Examples -> batches: pairs encoded by the tokenizer's own template, lengths bucketed, order seeded.

Shapes (the letters of :mod:`welltuned.shapes`)::

    Batch.ids     [B, T] int64   token ids, padded on the right
    Batch.mask    [B, T] int64   1 for tokens, 0 for padding
    Batch.types   [B, T] int64   segment ids, for families that have them; else None
    Batch.labels  [B]    int64   class indices; None where they are sealed
    Batch.rows    [B]    int64   indices into the split
    Batch.features [B, d] float  pooled representations, where the encoder below the head was run before
    Batch.states  [B, T, d] float  hidden states at the frontier, where the blocks below it were run before
    Batch.lengths [B]    of Python  tokens of each row, where they are known without looking at the mask
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from welltuned.data.dataset import Split
from welltuned.record import Truncation

Ints = NDArray[np.int64]
CHUNK = 1000
POOL_BATCHES = 50
PAD_MULTIPLE = 8


@dataclass(frozen=True)
class Batch:
    """Rows ready for an encoder; shapes in the module's legend."""

    ids: Tensor
    mask: Tensor
    types: Tensor | None
    labels: Tensor | None
    rows: Tensor
    features: Tensor | None = None
    states: Tensor | None = None
    lengths: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return self.rows.shape[0]

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class TokenizedSplit:
    """N rows as token ids, ragged: row i is ``ids[offsets[i]:offsets[i + 1]]``.

    Attributes:
        ids, types: [sum of lengths] int32 and uint8.
        offsets: [N + 1] int64.
        labels: [N] int64, or None while sealed.
        pad: the padding token's id.
        has_types: whether the model takes segment ids.
        max_length: tokens a row at most; no batch is padded beyond.
        truncation: how many rows lost tokens.
        cut: [N] whether the row lost tokens.
        features: [N, d] pooled representations once computed; then no token reaches the encoder.
        states: [sum of lengths, d] hidden states at the frontier once computed.
    """

    ids: NDArray[np.int32]
    types: NDArray[np.uint8]
    offsets: Ints
    labels: Ints | None
    pad: int
    has_types: bool
    max_length: int
    truncation: Truncation
    cut: NDArray[np.bool_] = field(repr=False)
    features: Tensor | None = None
    states: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def known_labels(self) -> Ints:
        """[N] labels of a split that is not sealed.

        Raises:
            RuntimeError: the labels are sealed; only the vault may open them.
        """
        if self.labels is None:
            raise RuntimeError("sealed labels were asked for")
        return self.labels

    @property
    def lengths(self) -> Ints:
        """[N] tokens of each row."""
        return np.diff(self.offsets)

    def batch(self, rows: Ints) -> Batch:
        """Collate these rows, padded to the longest of them (to a multiple of 8, up to ``max_length``)."""
        index = torch.from_numpy(rows)
        labels = None if self.labels is None else torch.from_numpy(self.labels[rows])
        if self.features is not None:
            none = torch.empty(len(rows), 0, dtype=torch.int64)
            return Batch(none, none, None, labels, index, self.features[index])
        longest = int(self.lengths[rows].max())
        width = min(-(-longest // PAD_MULTIPLE) * PAD_MULTIPLE, self.max_length)
        ids = np.full((len(rows), width), self.pad, np.int64)
        mask = np.zeros((len(rows), width), np.int64)
        types = np.zeros((len(rows), width), np.int64)
        for at, row in enumerate(rows):
            start, end = self.offsets[row], self.offsets[row + 1]
            ids[at, : end - start] = self.ids[start:end]
            types[at, : end - start] = self.types[start:end]
            mask[at, : end - start] = 1
        return Batch(
            torch.from_numpy(ids),
            torch.from_numpy(mask),
            torch.from_numpy(types) if self.has_types else None,
            labels,
            index,
            states=None if self.states is None else self._states(rows, width),
            lengths=tuple(self.lengths[rows].tolist()),
        )

    def _states(self, rows: Ints, width: int) -> Tensor:
        assert self.states is not None
        states = np.zeros((len(rows), width, self.states.shape[1]), np.float32)
        for at, row in enumerate(rows):
            start, end = self.offsets[row], self.offsets[row + 1]
            states[at, : end - start] = self.states[start:end]
        return torch.from_numpy(states)

    def pieces(self, rows: Ints, tokens: int | None, most: int, *, joined: bool = False) -> list[Ints]:
        """These rows, in order of length, in pieces for passes of at most so many tokens and rows each.

        Features have no tokens: of them only the rows count.

        Args:
            joined: rows go through end to end; else a piece is padded to the longest of them.
        """
        if self.features is not None or tokens is None:
            return [rows[one] for one in spans(len(rows), most)]
        lengths = self.offsets[rows + 1] - self.offsets[rows]
        cut = cut_evenly(lengths, tokens, most) if joined else cut_where_it_pays(lengths, tokens, most)
        return [rows[one] for one in cut]

    def take(self, rows: Ints) -> TokenizedSplit:
        """These rows alone, in this order."""
        pieces = [np.arange(self.offsets[row], self.offsets[row + 1]) for row in rows]
        where = np.concatenate(pieces)
        return replace(
            self,
            ids=self.ids[where],
            types=self.types[where],
            offsets=np.concatenate([[0], np.cumsum(self.lengths[rows])]),
            labels=None if self.labels is None else self.labels[rows],
            cut=self.cut[rows],
            truncation=Truncation(rows=len(rows), cut=int(self.cut[rows].sum())),
            features=None if self.features is None else self.features[torch.from_numpy(rows)],
            states=None if self.states is None else self.states[where],
        )


def joined(parts: Sequence[TokenizedSplit]) -> TokenizedSplit:
    """The rows of several splits as one, in their order; all of one tokenizer and length, none with labels."""
    cut = np.concatenate([part.cut for part in parts])
    return replace(
        parts[0],
        ids=np.concatenate([part.ids for part in parts]),
        types=np.concatenate([part.types for part in parts]),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))]),
        labels=None,
        cut=cut,
        truncation=Truncation(rows=len(cut), cut=int(cut.sum())),
        features=None,
    )


def tokenize(split: Split, tokenizer: Any, max_length: int) -> TokenizedSplit:
    """Encode every row with the tokenizer's own pair template, first text first, only the second one cut.

    A first text that would fill more than half of the room by itself is cut to that half beforehand, at a
    token's edge, so that some of the second always remains; such rows are counted apart.

    Args:
        split: N rows.
        tokenizer: a fast Hugging Face tokenizer.
        max_length: tokens a row at most, special tokens included.
    """
    texts, cut = list(split.text), np.zeros(len(split), np.bool_)
    if split.pair is not None:
        texts, cut = shortened(texts, tokenizer, max_length)
    questions_cut = int(cut.sum())
    ids: list[NDArray[np.int32]] = []
    types: list[NDArray[np.uint8]] = []
    for start in range(0, len(split), CHUNK):
        stop = min(start + CHUNK, len(split))
        pairs = None if split.pair is None else list(split.pair[start:stop])
        encoded = tokenizer(
            texts[start:stop],
            pairs,
            truncation="only_second" if pairs is not None else "longest_first",
            max_length=max_length,
            return_overflowing_tokens=True,
            return_token_type_ids=True,
        )
        source = np.asarray(encoded["overflow_to_sample_mapping"])
        first = np.unique(source, return_index=True)[1]
        ids.extend(np.asarray(encoded["input_ids"][i], np.int32) for i in first)
        types.extend(np.asarray(encoded["token_type_ids"][i], np.uint8) for i in first)
        cut[start:stop] |= np.bincount(source, minlength=stop - start) > 1
    return TokenizedSplit(
        ids=np.concatenate(ids),
        types=np.concatenate(types),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64),
        labels=split.label,
        pad=int(tokenizer.pad_token_id),
        has_types="token_type_ids" in tokenizer.model_input_names,
        max_length=max_length,
        truncation=Truncation(rows=len(split), cut=int(cut.sum()), questions_cut=questions_cut),
        cut=cut,
    )


def shortened(texts: Sequence[str], tokenizer: Any, max_length: int) -> tuple[list[str], NDArray[np.bool_]]:
    """First texts of pairs as :func:`tokenize` lets them in, and which of them [N] were cut for it.

    A text may fill half of the room; one of more tokens is cut before the character that the next token belongs to.
    It has at most a token a byte (byte-level vocabularies), and one more for a space put before it.
    """
    limit = max(1, (max_length - tokenizer.num_special_tokens_to_add(pair=True)) // 2)
    long = [i for i, text in enumerate(texts) if len(text.encode()) >= limit]
    fitting, cut = list(texts), np.zeros(len(texts), np.bool_)
    if not long:
        return fitting, cut
    encoded = tokenizer([texts[i] for i in long], add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    for row, offsets in zip(long, encoded["offset_mapping"], strict=True):
        if len(offsets) > limit:
            fitting[row] = texts[row][: offsets[limit][0]].rstrip()
            cut[row] = True
    return fitting, cut


def epoch_batches(split: TokenizedSplit, batch_size: int, seed: int, epoch: int) -> list[Ints]:
    """The row indices of one epoch's batches: shuffled, in buckets of like length, shuffled again.

    Rows are shuffled; pools of fifty batches are sorted by length and cut into batches; the batches are
    shuffled. Each epoch visits each row once, in an order that is a function of (lengths, batch_size, seed,
    epoch) alone.
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(split))
    if split.features is not None:
        return _chunks(order, batch_size)
    lengths = split.lengths
    pool = POOL_BATCHES * batch_size
    batches = [
        chunk
        for start in range(0, len(order), pool)
        for chunk in _chunks(_by_length(order[start : start + pool], lengths), batch_size)
    ]
    return [batches[i] for i in random.permutation(len(batches))]


def sorted_batches(
    split: TokenizedSplit, batch_size: int, tokens: int | None = None, *, joined: bool = False
) -> Iterator[Batch]:
    """Every row once, longest first, so that padding is least and memory peaks at once.

    Args:
        tokens, joined: of a batch at most, as in :meth:`TokenizedSplit.pieces`.
    """
    for rows in split.pieces(longest_first(split), tokens, batch_size, joined=joined):
        yield split.batch(rows)


def rows_within(tokens: int | None, longest: int, most: int) -> int:
    """How many rows as long as the longest have so many tokens together: one at least, ``most`` at most."""
    return most if tokens is None else max(1, min(most, tokens // max(1, longest)))


def spans(rows: int, size: int) -> list[slice]:
    """The rows in pieces of at most this size, as equal as can be."""
    count = -(-rows // size)
    return [slice(rows * at // count, rows * (at + 1) // count) for at in range(count)]


A_PIECE = 24
"""What a pass costs beyond its tokens (weights are read and cast, their gradients added up): one such part of the most
tokens that a pass takes; measured at 95 to 110 tokens in fp32 and at 300 to 450 in bf16."""


def cut_where_it_pays(lengths: Ints, tokens: int | None, most: int, apiece: int | None = None) -> list[slice]:
    """Rows [n] in order of length in pieces, so that what is padded and what each piece costs is least together.

    A piece has no more than ``most`` rows and, padded to its longest row, than ``tokens`` tokens; a row that is longer
    by itself goes alone. Of all such cuts the best is found, from its last piece to the first (dynamic programming).

    Args:
        apiece: what a piece costs, in tokens; without, what a pass does.
    """
    widths = -(-lengths // PAD_MULTIPLE) * PAD_MULTIPLE
    price = apiece if apiece is not None else (tokens or 0) // A_PIECE
    cost, begins = np.zeros(len(widths) + 1), np.zeros(len(widths) + 1, np.int64)
    for end in range(1, len(widths) + 1):
        first = np.arange(max(0, end - most), end)
        padded = (end - first) * np.maximum(widths[first], widths[end - 1])
        fits = np.full(len(first), True) if tokens is None else padded <= tokens
        fits[-1] = True
        total = np.where(fits, cost[first] + padded + price, np.inf)
        begins[end] = first[total.argmin()]
        cost[end] = total.min()
    found, end = [], len(widths)
    while end:
        found.append(slice(int(begins[end]), end))
        end = int(begins[end])
    return found[::-1]


def cut_evenly(lengths: Ints, tokens: int, most: int) -> list[slice]:
    """Rows [n] in few pieces of nearly as many tokens each, padding not counted.

    A piece has no more than ``most`` rows and ``tokens`` tokens; a row that is longer by itself goes alone.
    """
    ends, found, start = np.concatenate([[0], np.cumsum(lengths)]), [], 0
    while start < len(lengths):
        left = int(ends[-1] - ends[start])
        share = left / max(-(-left // tokens), -(-(len(lengths) - start) // most))
        near = start + 1 + int(np.abs(ends[start + 1 :] - ends[start] - share).argmin())
        fitting = int(np.searchsorted(ends, ends[start] + tokens, side="right")) - 1
        stop = max(start + 1, min(near, fitting, start + most))
        found.append(slice(start, stop))
        start = stop
    return found


def longest_first(split: TokenizedSplit) -> Ints:
    """[N] rows by falling length; of equals the first stays first."""
    return np.argsort(-split.lengths, kind="stable")


def _by_length(rows: Ints, lengths: Ints) -> Ints:
    return rows[np.argsort(lengths[rows], kind="stable")]


def _chunks(rows: Ints, size: int) -> list[Ints]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]

"""Which tokens are to be predicted, and what the model is given instead of them.

Devlin et al. 2019: of each row's tokens 15% are chosen. Of the chosen, 80% are replaced by the mask token, 10% by a
random token, and 10% stay as they are; the model must name the original in all three cases, so it cannot rely on an
unmasked token being right. Labels hold the original's id where a token was chosen, and -100, which the loss leaves
out, everywhere else. With whole words, all pieces of a chosen word are chosen together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from welltuned.pretraining.rows import Bools, Ints, Packing, Rows
from welltuned.record.pretraining import MaskedToken, Treatment

IGNORED = -100
TO_MASK, TO_RANDOM = 0.8, 0.1


@dataclass(frozen=True)
class Masked:
    """Rows with tokens hidden.

    Attributes:
        inputs: [B, T] what the model is given.
        labels: [B, T] the original id where a token is to be predicted, else -100.
        mask: [B, T] 1 for tokens, 0 for padding.
    """

    inputs: Ints
    labels: Ints
    mask: Ints

    @property
    def predicted(self) -> int:
        """How many tokens are to be predicted."""
        return int((self.labels != IGNORED).sum())

    def take(self, rows: slice) -> Masked:
        """These rows alone."""
        return Masked(self.inputs[rows], self.labels[rows], self.mask[rows])


def masked(rows: Rows, how: Packing, rate: float, whole_words: bool, random: np.random.Generator) -> Masked:
    """Hide tokens of each row.

    Args:
        rate: share of a row's tokens to choose; at least one is chosen in every row that has any.
        whole_words: choose words instead of tokens.
    """
    chosen = np.zeros_like(rows.real)
    for row, (real, starts) in enumerate(zip(rows.real, rows.starts, strict=True)):
        units = _words(real, starts) if whole_words else [np.array([at]) for at in np.flatnonzero(real)]
        for unit in _choose(units, rate, random):
            chosen[row, unit] = True
    ordinary = np.setdiff1d(np.arange(how.vocabulary), list(how.special))
    fate = random.random(chosen.shape)
    other = random.choice(ordinary, chosen.shape)
    inputs = np.where(chosen & (fate < TO_MASK), how.masked, rows.ids)
    inputs = np.where(chosen & (fate >= 1 - TO_RANDOM), other, inputs)
    return Masked(inputs, np.where(chosen, rows.ids, IGNORED), rows.mask)


def _words(real: Bools, starts: Bools) -> list[Ints]:
    """The positions of each word: a start and what follows it; a row may begin or end inside a word."""
    at = np.flatnonzero(real)
    breaks = np.flatnonzero(starts[at[1:]] | (np.diff(at) > 1)) + 1
    return np.split(at, breaks) if len(at) else []


def _choose(units: list[Ints], rate: float, random: np.random.Generator) -> list[Ints]:
    """Units in random order until ``rate`` of all tokens is reached; one that would exceed it is passed over."""
    budget = max(1, round(rate * sum(map(len, units))))
    chosen: list[Ints] = []
    left = budget
    for at in random.permutation(len(units)):
        if len(units[at]) <= left:
            chosen.append(units[at])
            left -= len(units[at])
        if not left:
            break
    return chosen or [units[at] for at in random.permutation(len(units))[:1]]


def show(rows: Rows, hidden: Masked, how: Packing, tokenizer: Any, row: int, limit: int) -> list[MaskedToken]:
    """The first positions of one row: token, what is given, what is to be predicted."""
    length = min(limit, int(rows.mask[row].sum()))
    name = tokenizer.convert_ids_to_tokens
    return [
        MaskedToken(
            piece=name(int(rows.ids[row, at])),
            given=name(int(hidden.inputs[row, at])),
            label=None if hidden.labels[row, at] == IGNORED else name(int(hidden.labels[row, at])),
            treatment=_treatment(rows, hidden, how, row, at),
        )
        for at in range(length)
    ]


def _treatment(rows: Rows, hidden: Masked, how: Packing, row: int, at: int) -> Treatment:
    if not rows.real[row, at]:
        return "special"
    if hidden.labels[row, at] == IGNORED:
        return "not chosen"
    if hidden.inputs[row, at] == how.masked:
        return "masked"
    return "kept" if hidden.inputs[row, at] == rows.ids[row, at] else "random"

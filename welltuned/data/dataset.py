"""The shape of data once it is read: three splits, column by column, the test labels sealed away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """The names under which the texts and the label stood in the source."""

    text: str
    text_pair: str | None
    label: str


@dataclass(frozen=True)
class Split:
    """N rows of one split.

    Attributes:
        text: [N] first texts (questions).
        pair: [N] second texts (passages), or None where rows have one text.
        label: [N] class indices into ``Dataset.labels``; None while they are sealed.
        origin: [N] where each row came from, as ``file:row``.
    """

    text: tuple[str, ...]
    pair: tuple[str, ...] | None
    label: Labels | None
    origin: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.text)

    def take(self, rows: NDArray[np.int64]) -> Split:
        """The rows with these indices, in this order."""
        return Split(
            text=tuple(self.text[i] for i in rows),
            pair=None if self.pair is None else tuple(self.pair[i] for i in rows),
            label=None if self.label is None else self.label[rows],
            origin=tuple(self.origin[i] for i in rows),
        )

    def sealed(self) -> Split:
        """The same rows without their labels."""
        return replace(self, label=None)

    def group(self, row: int) -> str:
        """What must not be divided between splits: the passage, or the text where there is none."""
        return self.text[row] if self.pair is None else self.pair[row]


@dataclass(frozen=True)
class Dataset:
    """Rows of one classification problem.

    Attributes:
        name: what the source is called in tables.
        train, dev: splits with labels.
        test: a split whose labels are sealed: ``test.label`` is None.
        labels: class names, by class index.
        columns: the source's column names.
        hash: SHA-256 over every row of every split (texts and labels) as read and cut.
        notes: what was guessed, cut, skipped or repaired on the way, in sentences said to the user.
        supplied: the splits as they were before any cut, by name and without labels.
        unseal: reads the source again and returns the test labels [N]; only the vault calls it.
    """

    name: str
    train: Split
    dev: Split
    test: Split
    labels: tuple[str, ...]
    columns: Columns
    hash: str
    notes: tuple[str, ...] = ()
    supplied: Mapping[str, Split] = field(repr=False, compare=False, default_factory=dict)
    unseal: Callable[[], Labels] = field(repr=False, compare=False, default=lambda: np.empty(0, np.int64))

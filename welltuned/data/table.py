"""Rows as they were read, column by column, and what no table may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from welltuned.errors import DataError, ResourceError


@dataclass(frozen=True)
class Table:
    """N raw rows, column by column.

    Attributes:
        name: the file or the split, as messages call it.
        columns: column name to [N] values as read; a field that a row lacks is None.
        origin: [N] places, ``file:N``.
        classes: for columns of class indices with known names: column name to the names.
        notes: what was repaired or skipped while reading.
        unread: columns that were left out, by name, with what they hold.
    """

    name: str
    columns: dict[str, list[Any]]
    origin: tuple[str, ...]
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.origin)


def refuse_duplicates(where: str, names: Iterable[str]) -> None:
    """Refuse two columns of one name.

    Raises:
        DataError: there are two.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(
            f"more than one column is called {twice[0]!r}", where=where, mend="give each column its own name"
        )


def require_memory(where: str, needed: int) -> None:
    """Refuse, before it is read, what the free memory cannot hold.

    Args:
        needed: bytes that it takes at least.

    Raises:
        ResourceError: says how much is needed and how much is free.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise ResourceError(
            f"the rows take at least {needed / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB of memory are free",
            where=where,
            why="all rows of a data set are held in memory",
            mend="give a part of the file, or use a machine with more memory; a file that should be small is damaged",
        )


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8: one with half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

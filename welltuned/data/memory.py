"""Rows that a program holds in memory: on the same way into the house as files, known by the hash of their content.

A :class:`~welltuned.spec.DataSpec` names them ``memory:HASH``, so that equal rows make equal specs. Only who holds the
rows can hand them over again; a record alone cannot.
"""

from __future__ import annotations

from collections.abc import Mapping

from welltuned.data.readers import Table
from welltuned.data.sources import MEMORY, TEST_SHARE, Source
from welltuned.data.splits import digest

NAME = "rows in memory"


def address(tables: Mapping[str, Table]) -> str:
    """``memory:`` and 16 hexadecimal digits of the SHA-256 over columns, cells, class names and splits."""
    parts = [
        part
        for split, table in tables.items()
        for name, cells in table.columns.items()
        for part in (split, name, *table.classes.get(name, ()), *map(repr, cells))
    ]
    return MEMORY + digest(*parts).hex()[:16]


def source(tables: Mapping[str, Table], *, test: bool = True) -> Source:
    """These tables as a source.

    Args:
        tables: "train" and, where there are some, "dev" and "test".
        test: whether a test split is cut where none is given.
    """
    return Source(NAME, dict(tables), test_share=TEST_SHARE if test else 0.0)

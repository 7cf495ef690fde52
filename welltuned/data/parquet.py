"""Parquet to a table, in memory that the file's size and number of rows bound.

A few kilobytes of Parquet can say one long text a million times. Texts are therefore kept as a dictionary and row
numbers, so that equal ones are held once, and what a file says of its sizes is held against the free memory before
anything is read. Columns that are neither text, number nor boolean are left out: they can be neither text nor label.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from welltuned.data.table import Table, refuse_duplicates, require_memory
from welltuned.errors import DataError

CELL, ROW = 8, 100
"""Bytes that Python takes at least for a cell (a reference) and for a row (its place as text)."""


def read_parquet(path: Path, data: bytes) -> Table:
    """The rows of a file's content.

    Raises:
        DataError: it is no Parquet, damaged, or holds text that is not UTF-8.
        ResourceError: the free memory cannot hold its rows.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
        refuse_duplicates(str(path), schema.names)
        read = [one.name for one in schema if _is_plain(one.type)]
        texts = [one.name for one in schema if _is_text(one.type)]
        _require_memory(path, file.metadata, len(read))
        table = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts).read(columns=read)
        table.validate(full=True)
        columns = {name: _values(table.column(name)) for name in read}
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise DataError(
            "the file is not readable as Parquet",
            where=str(path),
            why=(str(error).strip() or type(error).__name__).splitlines()[0],
            mend="copy it again, or write it anew: a Parquet file that is cut off or holds text that is not UTF-8 "
            "cannot be read at all",
        ) from error
    origin = tuple(f"{path.name}:{at}" for at in range(1, table.num_rows + 1))
    unread = {one.name: str(one.type)[:80] for one in schema if one.name not in columns}
    return Table(path.name, columns, origin, _class_names(schema), unread=unread)


def _is_text(kind: Any) -> bool:
    return any(one(kind) for one in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _is_plain(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    types = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_null)
    return _is_text(kind) or any(one(kind) for one in types)


def _require_memory(path: Path, told: Any, columns: int) -> None:
    """Hold what the file's footer says against the free memory; its pages cannot unfold to more."""
    groups = [told.row_group(at) for at in range(told.num_row_groups)]
    unpacked = sum(max(0, group.total_byte_size) for group in groups)
    require_memory(str(path), unpacked + told.num_rows * (columns * CELL + ROW))


def _values(column: Any) -> list[Any]:
    """[N] Python values; equal texts of a dictionary are one object."""
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    values: list[Any] = []
    for chunk in column.chunks:
        words = chunk.dictionary.to_pylist()
        values += [None if at is None else words[at] for at in chunk.indices.to_pylist()]
    return values


def _class_names(schema: Any) -> dict[str, tuple[str, ...]]:
    """Class names that Hugging Face's ``datasets`` keeps in a Parquet file's metadata."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        found = {name: tuple(map(str, feature["names"])) for name, feature in features.items() if "names" in feature}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
    return {name: names for name, names in found.items() if names}

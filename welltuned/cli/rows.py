"""Rows to answer: from options, a file, or stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from welltuned.data import columns, readers
from welltuned.errors import DataError, UsageError
from welltuned.record import RunRecord

Rows = tuple[list[str], list[str] | None]


def requested(record: RunRecord, text: str | None, pair: str | None, source: Path | None) -> Rows:
    """The texts to answer, and their second texts where the run was trained on pairs.

    Raises:
        UsageError: nothing, or two things at once, are asked for.
        DataError: the file or stdin cannot be read as rows.
    """
    if text is not None and source is not None:
        raise UsageError("--text and --input cannot go together", where="--input")
    if text is not None:
        if record.takes_pairs and pair is None:
            raise UsageError("this model needs a passage too", where="--text-pair", mend="give --text-pair TEXT")
        return [text], [pair] if pair is not None else None
    if pair is not None:
        raise UsageError("a second text alone cannot be answered", where="--text-pair", mend="give --text TEXT too")
    if source is None and sys.stdin.isatty():
        raise UsageError(
            "there is nothing to answer", mend="give --text and --text-pair, --input FILE, or rows on stdin"
        )
    if source is None or str(source) == "-":
        return _from_stdin(record)
    return _from_file(record, source)


def _names(record: RunRecord) -> list[str]:
    first, second = record.columns.get("text") or "text", record.columns.get("text_pair")
    return [first] if second is None else [first, second]


def _from_file(record: RunRecord, source: Path) -> Rows:
    table = readers.read_table(source)
    found = []
    for name in _names(record):
        if name not in table.columns:
            raise DataError(
                f"there is no column {name!r}",
                where=str(source),
                why=f"the run was trained on {', '.join(_names(record))}; here stand {', '.join(table.columns)}",
                mend="name the columns as in training",
            )
        found.append(list(columns.take_texts(table, name)[0]))
    return found[0], found[1] if len(found) == 2 else None


def _from_stdin(record: RunRecord) -> Rows:
    names = _names(record)
    found: list[list[str]] = [[] for _ in names]
    for number, line in enumerate(_lines(), start=1):
        if not line.strip():
            continue
        parts = _object(line, number, names) if line.lstrip().startswith("{") else line.rstrip("\r\n").split("\t")
        if len(parts) != len(names):
            raise DataError(
                f"{len(parts)} fields instead of {len(names)}",
                where=f"stdin:{number}",
                mend=f"write {' TAB '.join(names)}, or a JSON object with these fields",
            )
        for column, part in zip(found, parts, strict=True):
            column.append(columns.repaired(part))
    return found[0], found[1] if len(found) == 2 else None


def _lines() -> Iterator[str]:
    number = 0
    try:
        for line in sys.stdin:
            number += 1
            yield line
    except UnicodeDecodeError as error:
        raise DataError(
            "this is not UTF-8", where=f"stdin, after line {number}",
            why=f"byte {error.object[error.start]:#04x} does not belong there", mend="convert it with iconv first",
        ) from error  # fmt: skip


def _object(line: str, number: int, names: list[str]) -> list[str]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError("this line is not JSON", where=f"stdin:{number}", why=str(error)) from error
    missing = [name for name in names if not isinstance(value.get(name), str)]
    if missing:
        raise DataError(f"the field {missing[0]!r} is missing or not a text", where=f"stdin:{number}")
    return [value[name] for name in names]

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
NO_TEXT = "a model cannot answer what it cannot read"


def requested(record: RunRecord, text: str | None, pair: str | None, source: Path | None) -> Rows:
    """The texts to answer, and their second texts where the run was trained on pairs.

    Raises:
        UsageError: nothing, or two things at once, are asked for.
        DataError: the file or stdin cannot be read as rows.
    """
    if text is not None and source is not None:
        raise UsageError(
            "--text and --input cannot go together",
            where="--input",
            why="each says what to answer: one row, or the rows of a file",
            mend="leave one of them out",
        )
    if text is not None:
        return _single(record, text, pair)
    if pair is not None:
        why = "it is the passage that a question in --text is about"
        raise UsageError(
            "a second text alone cannot be answered", where="--text-pair", why=why, mend="give --text TEXT too"
        )
    if source is None and sys.stdin.isatty():
        raise _nothing("neither a text nor a file is given")
    if source is None or str(source) == "-":
        found = _from_stdin(record)
        if source is None and not found[0]:
            raise _nothing("no rows came on stdin")
        return found
    return _from_file(record, source)


def _single(record: RunRecord, text: str, pair: str | None) -> Rows:
    """The one row that options give."""
    if record.takes_pairs and pair is None:
        why = f"it was trained on pairs: {' and '.join(_names(record))}"
        raise UsageError("this model needs a passage too", where="--text-pair", why=why, mend="give --text-pair TEXT")
    if pair is not None and not record.takes_pairs:
        why = f"it was trained on single texts: {_names(record)[0]}"
        raise UsageError("this model reads no second text", where="--text-pair", why=why, mend="leave out --text-pair")
    for option, given in (("--text", text), ("--text-pair", pair)):
        if given is not None and not given.strip():
            raise UsageError("this text is empty", where=option, why=NO_TEXT, mend="give a text")
    return [text], [pair] if pair is not None else None


def _nothing(why: str) -> UsageError:
    mend = "give --text and --text-pair, --input FILE, or rows on stdin"
    return UsageError("there is nothing to answer", where="--text, --input", why=why, mend=mend)


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
                f"this line has {len(parts)} field{'' if len(parts) == 1 else 's'} instead of {len(names)}",
                where=f"stdin:{number}",
                why=f"the run was trained on {' and '.join(names)}; a tab stands between fields",
                mend=f"write {' TAB '.join(names)}, or a JSON object with these fields",
            )
        if empty := [name for name, part in zip(names, parts, strict=True) if not part.strip()]:
            raise DataError(
                f"the field {empty[0]!r} is empty",
                where=f"stdin:{number}",
                why=NO_TEXT,
                mend="fill in the text, or remove the row",
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
        raise DataError(
            "this line is not JSON",
            where=f"stdin:{number}",
            why=str(error),
            mend="write one JSON object a line; a line that begins with { is read as such",
        ) from error
    missing = [name for name in names if not isinstance(value.get(name), str)]
    if missing:
        raise DataError(
            f"the field {missing[0]!r} is missing or not a text",
            where=f"stdin:{number}",
            why=f"the run was trained on {' and '.join(names)}",
            mend=f"write an object with {' and '.join(names)}, each a JSON string",
        )
    return [value[name] for name in names]

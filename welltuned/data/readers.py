"""Files to tables: csv, tsv, jsonl, json and parquet, every row with the place it came from.

A row's place is ``file:N``. N is the line number in the file for csv, tsv and jsonl (of the record's first
line), and the 1-based number of the row for json and parquet.
"""

from __future__ import annotations

import csv
import io
import json
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from welltuned.data.parquet import read_parquet
from welltuned.data.table import Table, encodable, refuse_duplicates, require_memory
from welltuned.errors import DataError

__all__ = ["READERS", "Table", "read_table"]

_MAGIC = {
    b"\x1f\x8b": ("gzip-compressed", "gunzip -k {file}"),
    b"PK\x03\x04": ("a zip archive (or an Excel workbook)", "unzip it, or export the sheet as csv"),
    b"\xfd7zXZ\x00": ("xz-compressed", "unxz -k {file}"),
    b"\x28\xb5\x2f\xfd": ("zstd-compressed", "unzstd {file}"),
    b"\xff\xfe\x00\x00": ("UTF-32 text", "iconv -f UTF-32 -t UTF-8 {file} > utf8-{file}"),
    b"\x00\x00\xfe\xff": ("UTF-32 text", "iconv -f UTF-32 -t UTF-8 {file} > utf8-{file}"),
    b"\xff\xfe": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8 {file} > utf8-{file}"),
    b"\xfe\xff": ("UTF-16 text", "iconv -f UTF-16 -t UTF-8 {file} > utf8-{file}"),
}
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")
_SEPARATORS = {",": "a comma", "\t": "a tab", ";": "a semicolon", "|": "a vertical bar"}
_UTF8_BOM = b"\xef\xbb\xbf"


def read_table(path: Path) -> Table:
    """Read one file by its suffix.

    Raises:
        DataError: the file cannot be read or is not what its suffix says; names the place and the mend.
    """
    reader = READERS.get(path.suffix.lower())
    data = _read_bytes(path)
    _refuse_foreign(path, data)
    if reader is None:
        raise DataError(
            f"no reader for files ending in {path.suffix!r}" if path.suffix else "the file has no suffix",
            where=str(path),
            mend=f"use one of {', '.join(READERS)}",
        )
    if not data.removeprefix(_UTF8_BOM).strip():
        raise DataError("the file is empty", where=str(path), mend="check how it was written or copied")
    table = reader(path, data)
    if not len(table):
        raise DataError("there are columns but no rows", where=str(path), mend="check how it was written")
    return table


def _read_bytes(path: Path) -> bytes:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise DataError("not a regular file", where=str(path), mend="write the rows to a file first")
        require_memory(str(path), found.st_size)
        return path.read_bytes()
    except PermissionError as error:
        raise DataError("permission to read the file is denied", where=str(path), mend=f"chmod u+r {path}") from error
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror or error}", where=str(path)) from error


def _refuse_foreign(path: Path, data: bytes) -> None:
    if _BZIP2.match(data):
        raise DataError("the file is bzip2-compressed", where=str(path), mend=f"bunzip2 -k {path.name}")
    for magic, (what, mend) in _MAGIC.items():
        if data.startswith(magic):
            raise DataError(f"the file is {what}", where=str(path), mend=mend.format(file=path.name))


def _decode(path: Path, data: bytes) -> str:
    """UTF-8 with or without byte order mark; anything else is an error that names the byte."""
    data = data.removeprefix(_UTF8_BOM)
    if (nul := data.find(b"\0")) >= 0:
        raise DataError(
            f"NUL byte at byte {nul}",
            where=_place(path, data, nul),
            why="the file is binary, UTF-16 without a mark, or damaged",
            mend=f"write it as UTF-8 text; for UTF-16: iconv -f UTF-16LE -t UTF-8 {path.name}",
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # Only Windows-1252 has printable characters at 0x80-0x9F.
        guess = "cp1252" if re.search(rb"[\x80-\x9f]", data) else "latin-1"
        raise DataError(
            f"byte {error.start} (0x{data[error.start]:02x}) is not UTF-8",
            where=_place(path, data, error.start),
            why=f"the file has another encoding, perhaps {guess}",
            mend=f"iconv -f {guess} -t UTF-8 {path.name} > utf8-{path.name}",
        ) from error


def _place(path: Path, data: bytes, byte: int) -> str:
    line = data.count(b"\n", 0, byte) + 1
    return f"{path}:{line}"


# --- separated values -------------------------------------------------------------------------------


def _read_csv(path: Path, data: bytes) -> Table:
    text = _decode(path, data)
    return _separated(path, text, list(_records(path, text, ",", csv.QUOTE_MINIMAL)), ",")


def _read_tsv(path: Path, data: bytes) -> Table:
    """Quoted tab-separated values; where the quotes do not match they are plain characters."""
    text = _decode(path, data)
    try:
        return _separated(path, text, list(_records(path, text, "\t", csv.QUOTE_MINIMAL)), "\t")
    except _QuoteError:
        note = f"{path.name}: quotation marks do not match, so they are read as plain characters"
        return _separated(path, text, list(_records(path, text, "\t", csv.QUOTE_NONE)), "\t", (note,))


class _QuoteError(DataError):
    """Quotation marks that do not match."""


@contextmanager
def _field_limit(size: int) -> Iterator[None]:
    """The csv module's limit of 128 KiB a field, raised for a while."""
    before = csv.field_size_limit()
    csv.field_size_limit(max(before, size))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _records(path: Path, text: str, separator: str, quoting: Any) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each record that is no blank line; the line is the record's first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting, strict=True)
    line = 1
    with _field_limit(len(text) + 1):
        try:
            for cells in reader:
                if cells:
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise _QuoteError(
                f"cannot be split into cells: {error}",
                where=f"{path}:{line}",
                why='a quotation mark is not closed, or stands inside a quoted cell without being doubled ("")',
                mend="quote the cell and double the marks inside it",
            ) from error


def _separated(
    path: Path, text: str, records: Sequence[tuple[int, list[str]]], separator: str, notes: tuple[str, ...] = ()
) -> Table:
    (line, cells), *body = records
    names, skip, more = _header(path, line, [cell.strip() for cell in cells], separator)
    if ragged := [(at, row) for at, row in body if len(row) != len(names)]:
        raise _ragged(path, names, ragged, torn=ragged[0][0] == body[-1][0] and not text.endswith("\n"))
    columns = {name: [row[i] for _, row in body] for i, name in enumerate(names) if i >= skip}
    return Table(path.name, columns, tuple(f"{path.name}:{at}" for at, _ in body), notes=notes + more)


def _header(path: Path, line: int, names: list[str], separator: str) -> tuple[list[str], int, tuple[str, ...]]:
    """Column names, how many leading columns to skip, and notes."""
    where = f"{path}:{line}"
    if len(names) == 1:
        for other, spoken in _SEPARATORS.items():
            if other != separator and other in names[0]:
                raise DataError(
                    f"only one column was found, but the header contains {spoken} ({other!r})",
                    where=where,
                    why=f"{path.suffix} files are separated by {_SEPARATORS[separator]}",
                    mend="save it as .tsv" if other == "\t" else f"save it with {_SEPARATORS[separator]} instead",
                )
    # Data frames are often saved with their row numbers in a first column without a name.
    skip = int(len(names) > 1 and not names[0])
    if "" in names[skip:]:
        raise DataError(
            f"column {names.index('', skip) + 1} of the header has no name",
            where=where,
            why="the header line is missing or incomplete",
            mend="give every column a name in the first line",
        )
    refuse_duplicates(where, names)
    note = (f"{path.name}: the first column has no name and is taken for row numbers",) if skip else ()
    return names, skip, note


def _ragged(path: Path, names: list[str], ragged: Sequence[tuple[int, list[str]]], torn: bool) -> DataError:
    at, row = ragged[0]
    return DataError(
        f"{len(row)} cells where the header has {len(names)}"
        + (f" (and {len(ragged) - 1} more such rows)" if len(ragged) > 1 else ""),
        where=f"{path}:{at}",
        why="the file looks cut off here" if torn else "a cell with a separator in it must be quoted",
        mend="copy the file again" if torn else 'write such a cell as "like, this"',
    )


# --- JSON -------------------------------------------------------------------------------------------


NODE, PART = 64, 16
"""Bytes that Python takes at least for an object or list of JSON, and for one thing in it."""
MANY, SPARSE = 10_000_000, 50
"""Cells from which, and times fewer that are given, objects with fields of their own are refused."""


def _json_text(path: Path, data: bytes) -> str:
    text = _decode(path, data)
    require_memory(str(path), NODE * (data.count(b"{") + data.count(b"[")) + PART * data.count(b","))
    return text


def _read_jsonl(path: Path, data: bytes) -> Table:
    return _lines(path, _json_text(path, data))


def _lines(path: Path, text: str) -> Table:
    # Only the line feed ends a line: str.splitlines would also cut at U+2028 inside a string.
    lines = [(at, line) for at, line in enumerate(text.split("\n"), start=1) if line.strip()]
    rows = []
    for at, line in lines:
        try:
            value = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            torn = at == lines[-1][0] and not text.endswith("\n")
            raise _bad_line(path, at, error, torn, first=text.lstrip()[0]) from error
        rows.append(_object(path, at, value))
    return _from_objects(path, rows, [at for at, _ in lines])


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the field {twice!r} stands twice in one object")
    return value


def _bad_line(path: Path, at: int, error: Exception, torn: bool, first: str) -> DataError:
    if torn:
        return DataError(
            "the last line looks cut off",
            where=f"{path}:{at}",
            why=str(error),
            mend="copy the file again, or remove the last line",
        )
    hint = "a list of objects belongs into a .json file" if first == "[" else "write one JSON object a line"
    return DataError("the line is not valid JSON", where=f"{path}:{at}", why=str(error), mend=hint)


def _object(path: Path, at: int, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise DataError(
        f"a JSON {type(value).__name__} stands where an object is expected",
        where=f"{path}:{at}",
        mend='write every row as {"text": ..., "label": ...}',
    )


def _read_json(path: Path, data: bytes) -> Table:
    """A list of objects; a file that holds one object a line is read as jsonl."""
    text = _json_text(path, data)
    try:
        value = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("{") and _is_json(text.lstrip().split("\n", 1)[0]):
            return _lines(path, text)
        raise DataError(
            "the file is not valid JSON", where=f"{path}:{getattr(error, 'lineno', 1)}", why=str(error)
        ) from error
    if not isinstance(value, list):
        raise DataError(
            f"the file holds one JSON {type(value).__name__}, not a list of objects",
            where=str(path),
            mend='write [{"text": ..., "label": ...}, ...]',
        )
    return _from_objects(path, [_object(path, at, row) for at, row in enumerate(value, 1)])


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _from_objects(path: Path, rows: list[dict[str, Any]], numbers: Iterable[int] | None = None) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    given = sum(map(len, rows))
    if len(names) * len(rows) > max(MANY, SPARSE * given):
        raise DataError(
            f"the rows have {len(names):,} different fields, and one row has {given / len(rows):.0f} of them",
            where=str(path),
            why="each field becomes a column, which nearly every row would lack",
            mend="write every row with the same fields",
        )
    for name in names:
        if not encodable(name):
            raise DataError(f"the field {name!r} holds half of a surrogate pair", where=str(path), mend="rename it")
    numbers = range(1, len(rows) + 1) if numbers is None else numbers
    columns = {name: [row.get(name) for row in rows] for name in names}
    return Table(path.name, columns, tuple(f"{path.name}:{at}" for at in numbers))


READERS: dict[str, Callable[[Path, bytes], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": read_parquet,
}

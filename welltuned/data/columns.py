"""Which column is what: explicit names checked, missing ones guessed, and texts taken out as strings."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from welltuned.data.dataset import Columns
from welltuned.data.table import Table, encodable
from welltuned.errors import DataError
from welltuned.spec import DataSpec

COUPLES = (
    ("question", "passage"), ("question", "context"), ("question", "paragraph"), ("question", "sentence"),
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"), ("query", "passage"),
    ("query", "document"), ("text", "text_pair"), ("text1", "text2"), ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
)  # fmt: skip
"""Names of first and second texts that belong together."""
TEXTS = (
    "text", "sentence", "question", "query", "review", "content", "utterance", "tweet", "comment", "document",
)  # fmt: skip
"""Names of a text that stands alone."""
LABELS = ("label", "labels", "answer", "class", "target", "category", "intent", "gold_label")

LONG_TEXT = 1_000_000
"""Characters from which a text is said to be long."""


def resolve(tables: Mapping[str, Table], spec: DataSpec) -> tuple[Columns, list[str]]:
    """The columns to use, and a note for each that was guessed.

    Args:
        tables: raw tables by split; all must have the columns.
        spec: its ``text``, ``text_pair`` and ``label`` are explicit where not None.

    Raises:
        DataError: a named column is not there, or the guess finds none or several.
    """
    first = next(iter(tables.values()))
    _check_given(first, spec)
    text, pair = _texts(first, spec)
    label = spec.label or _label(first, {text, pair})
    columns = Columns(text=text, text_pair=pair, label=label)
    _check_distinct(columns, first)
    for table in tables.values():
        for name in (text, pair, label):
            if name is not None and name not in table.columns:
                raise _absent(name, table)
    return columns, _notes(columns, spec)


def _notes(columns: Columns, spec: DataSpec) -> list[str]:
    said = [
        (spec.text, columns.text, "the first text"),
        (spec.text_pair, columns.text_pair, "the second text"),
        (spec.label, columns.label, "the label"),
    ]
    return [f"column {name!r} is taken as {role}" for given, name, role in said if given is None and name]


def _check_given(table: Table, spec: DataSpec) -> None:
    for name in (spec.text, spec.text_pair, spec.label):
        if name and name not in table.columns:
            raise _absent(name, table)


def _absent(name: str, table: Table) -> DataError:
    if name in table.unread:
        return DataError(
            f"column {name!r} holds {table.unread[name]}, neither text nor label",
            where=table.name,
            mend="name another column, or write it as text first",
        )
    near = difflib.get_close_matches(name, table.columns, n=1, cutoff=0.6)
    return DataError(
        f"there is no column {name!r}; there are {_listed(table.columns)}",
        where=table.name,
        why="columns are called as in the data, to the letter",
        mend=f"did you mean {near[0]!r}?" if near else "name a column that every split has",
    )


def _check_distinct(columns: Columns, table: Table) -> None:
    names = [name for name in (columns.text, columns.text_pair, columns.label) if name]
    if len(set(names)) < len(names):
        raise DataError(
            f"one column is named for two purposes: {_listed(names)}",
            where=table.name,
            mend=f"choose among {_listed(table.columns)} with --text, --text-pair and --label",
        )


def _texts(table: Table, spec: DataSpec) -> tuple[str, str | None]:
    if spec.text is not None and spec.text_pair is not None:
        return spec.text, spec.text_pair or None
    present = {name.casefold(): name for name in reversed(table.columns) if name != spec.label}
    couples = [
        (present[a], present[b])
        for a, b in COUPLES
        if a in present and b in present and spec.text_pair != ""
        if spec.text in (None, present[a]) and spec.text_pair in (None, present[b])
    ]
    if len(couples) == 1:
        return couples[0]
    if len(couples) > 1:
        raise _ambiguous(table, "--text-pair", [f"{a} + {b}" for a, b in couples])
    if spec.text is not None:
        return spec.text, None
    alone = [present[name] for name in TEXTS if name in present and present[name] != spec.text_pair]
    if len(alone) == 1:
        return alone[0], spec.text_pair or None
    if len(alone) > 1:
        raise _ambiguous(table, "--text", alone)
    raise _not_found(table, "the first text", "--text")


def _label(table: Table, taken: set[str | None]) -> str:
    found = [name for name in table.columns if name.casefold() in LABELS and name not in taken]
    if len(found) == 1:
        return found[0]
    if found:
        raise _ambiguous(table, "--label", found)
    raise _not_found(table, "the label", "--label")


def _ambiguous(table: Table, option: str, found: Sequence[str]) -> DataError:
    return DataError(
        f"more than one column could be meant: {_listed(found)}",
        where=table.name,
        why=f"the columns are {_listed(table.columns)}",
        mend=f"say which with {option}",
    )


def _not_found(table: Table, role: str, option: str) -> DataError:
    headless = any(_looks_like_data(name) for name in table.columns)
    return DataError(
        f"no column was recognised as {role}; there are {_listed(table.columns)}",
        where=table.name,
        why="the first line looks like data: the header line may be missing" if headless else _unread(table),
        mend=("put the column names into the first line" if headless else f"say which with {option}"),
    )


def _unread(table: Table) -> str | None:
    held = ", ".join(f"{name!r} holds {kind}" for name, kind in [*table.unread.items()][:5])
    return f"left out: {held}" if held else None


def _looks_like_data(name: str) -> bool:
    return len(name) > 40 or re.fullmatch(r"[-+]?\d+(\.\d+)?|yes|no|true|false", name.casefold()) is not None


def _listed(names: Iterable[str]) -> str:
    shown = [repr(name if len(name) <= 40 else name[:37] + "...") for name in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


def take_texts(table: Table, name: str) -> tuple[tuple[str, ...], list[str]]:
    """[N] strings of one column, and notes on what was converted or repaired.

    Raises:
        DataError: cells that are empty, or lists, objects or bytes.
    """
    values = table.columns[name]
    _refuse_empty(table, name)
    foreign = [i for i, value in enumerate(values) if not isinstance(value, str)]
    if odd := [i for i in foreign if not isinstance(values[i], int | float)]:
        raise DataError(
            f"column {name!r} holds a {type(values[odd[0]]).__name__}, not text",
            where=table.origin[odd[0]],
            why=f"so do {len(odd)} rows of {len(table)}",
            mend="name a text column, or join the parts into one string",
        )
    texts = [value if isinstance(value, str) else str(value) for value in values]
    broken = [i for i, text in enumerate(texts) if not text.isascii() and not encodable(text)]
    for i in broken:
        texts[i] = repaired(texts[i])
    return tuple(texts), _text_notes(table, name, texts, foreign, broken)


def repaired(text: str) -> str:
    """The text with halves of surrogate pairs joined; a half without its other half becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _text_notes(table: Table, name: str, texts: list[str], foreign: Sequence[int], broken: Sequence[int]) -> list[str]:
    long = [i for i, text in enumerate(texts) if len(text) > LONG_TEXT]
    notes = []
    if foreign:
        notes.append(f"{table.name}: {len(foreign)} numbers in column {name!r} are read as text")
    if broken:
        notes.append(
            f"{table.name}: {len(broken)} texts in column {name!r} hold halves of surrogate pairs, which are "
            f"repaired or replaced by U+FFFD (first at {table.origin[broken[0]]})"
        )
    if long:
        notes.append(
            f"{table.origin[long[0]]}: a text of {len(texts[long[0]]):,} characters; all but its beginning will "
            f"be cut off ({len(long)} texts of over {LONG_TEXT:,} characters in column {name!r})"
        )
    return notes


def _refuse_empty(table: Table, name: str) -> None:
    empty = [i for i, value in enumerate(table.columns[name]) if is_missing(value)]
    if empty:
        raise DataError(
            f"column {name!r} is empty in {len(empty)} of {len(table)} rows",
            where=table.origin[empty[0]],
            why="first " + ", ".join(table.origin[i] for i in empty[:5]),
            mend="remove these rows or fill in the text"
            + ('; for rows of one text only, --text-pair ""' if len(empty) > len(table) / 2 else ""),
        )


def is_missing(value: Any) -> bool:
    """Null, not a number, or nothing but white space; the word "NA" is text."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))

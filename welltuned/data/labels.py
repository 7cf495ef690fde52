"""Labels to class indices: booleans, integers and strings in, indices and class names out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from welltuned.data.columns import is_missing
from welltuned.data.dataset import Labels
from welltuned.data.table import Table, encodable
from welltuned.errors import DataError

NO_YES = ("no", "yes")
_TRUTH = ({"no": "no", "yes": "yes"}, {"false": "no", "true": "yes"})
_NOTHING = {"na", "n/a", "nan", "null", "none"}
_INTEGER = re.compile(r"0|-?[1-9]\d*")
_LONGEST = 100
"""Digits of a label; what is longer is a word."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Encoding:
    """Classes of a problem.

    Attributes:
        names: class names, by index.
        indices: split to its [N] class indices.
        notes: what was taken for what.
    """

    names: tuple[str, ...]
    indices: dict[str, Labels]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Cells:
    """The label cells of all splits in one sequence."""

    values: list[Any]
    origin: list[str]
    split: list[str]
    column: str

    def where(self, row: int) -> str:
        return self.origin[row]


def is_hidden(values: Sequence[Any]) -> bool:
    """Whether every label is -1, the mark of labels that are withheld."""
    return all(_is_minus_one(value) for value in values)


def _is_minus_one(value: Any) -> bool:
    return value == -1 or (isinstance(value, str) and value.strip() in ("-1", "-1.0"))


def encode(tables: Mapping[str, Table], column: str) -> Encoding:
    """Class names and indices from the label column of all splits.

    Booleans and yes/no or true/false become ("no", "yes"); integers are sorted by value, strings by code
    point; class names supplied with the data keep their order. The classes are those of train and dev.

    Raises:
        DataError: labels are missing, hidden, mixed, real-valued, or a test label is in no other split.
    """
    cells = _gather(tables, column)
    _refuse_missing(cells)
    _refuse_kinds(cells)
    supplied = next((t.classes[column] for t in tables.values() if column in t.classes), None)
    names, order, notes = _name(cells, supplied)
    _refuse_halves(cells, names)
    classes = _classes(cells, names, order)
    index = {name: i for i, name in enumerate(classes)}
    indices = {
        split: np.array([index[n] for n, s in zip(names, cells.split, strict=True) if s == split], np.int64)
        for split in tables
    }
    return Encoding(classes, indices, tuple(notes + _near_twins(classes)))


def _gather(tables: Mapping[str, Table], column: str) -> _Cells:
    return _Cells(
        values=[value for table in tables.values() for value in table.columns[column]],
        origin=[place for table in tables.values() for place in table.origin],
        split=[split for split, table in tables.items() for _ in table.origin],
        column=column,
    )


def _refuse_missing(cells: _Cells) -> None:
    missing = [i for i, value in enumerate(cells.values) if is_missing(value)]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(cells.values)} labels in column {cells.column!r} are missing",
            where=cells.where(missing[0]),
            why="first " + ", ".join(cells.where(i) for i in missing[:5]),
            mend="fill in or remove these rows; unlabelled rows are for predict",
        )


def _refuse_halves(cells: _Cells, names: Sequence[str]) -> None:
    if halves := [i for i, name in enumerate(names) if not encodable(name)]:
        raise DataError(
            f"the label {names[halves[0]]!r} in column {cells.column!r} holds half of a surrogate pair",
            where=cells.where(halves[0]),
            why="it cannot be written as UTF-8",
            mend="write the label anew",
        )


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else type(value).__name__


def _refuse_kinds(cells: _Cells) -> None:
    first: dict[str, int] = {}
    for i, value in enumerate(cells.values):
        first.setdefault(_kind(value), i)
    if strange := [kind for kind in first if kind not in ("boolean", "number", "string")]:
        raise DataError(
            f"column {cells.column!r} holds a {strange[0]}, not a label",
            where=cells.where(first[strange[0]]),
            mend="name a column of one string, integer or boolean a row with --label",
        )
    if list(first) == ["string"]:
        first = _written_kinds(cells)
    if len(first) > 1:
        (a, i), (b, j) = list(first.items())[:2]
        raise DataError(
            f"labels of two types in column {cells.column!r}: "
            f"the {a} {cells.values[i]!r} ({cells.where(i)}) and the {b} {cells.values[j]!r} ({cells.where(j)})",
            where=cells.where(j),
            mend="write all labels in one way",
        )


def _written_kinds(cells: _Cells) -> dict[str, int]:
    """The first row of a number and the first of a word, where labels are read from text."""
    first: dict[str, int] = {}
    for i, value in enumerate(cells.values):
        first.setdefault("number" if _is_number(value.strip()) else "word", i)
    return first


def _name(cells: _Cells, supplied: tuple[str, ...] | None) -> tuple[list[str], list[str], list[str]]:
    """[N] class names, the order of the classes, and notes."""
    if isinstance(cells.values[0], bool):
        return ["yes" if value else "no" for value in cells.values], list(NO_YES), []
    if not isinstance(cells.values[0], str):
        return _name_numbers(cells, cells.values, supplied)
    texts = [value.strip() for value in cells.values]
    notes = []
    if texts != cells.values:
        notes.append(f"white space around labels in column {cells.column!r} is removed")
    if all(_is_number(text) for text in set(texts)) and all(
        _INTEGER.fullmatch(text) or "." in text or "e" in text.casefold() for text in set(texts)
    ):
        names, order, more = _name_numbers(cells, [_number(text) for text in texts], supplied)
        return names, order, notes + more
    names, order, more = _name_strings(cells, texts)
    return names, order, notes + more


def _is_number(text: str) -> bool:
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None


def _number(text: str) -> int | float:
    return int(text) if _INTEGER.fullmatch(text) else float(text)


def _name_numbers(
    cells: _Cells, values: Sequence[int | float], supplied: tuple[str, ...] | None
) -> tuple[list[str], list[str], list[str]]:
    for i, value in enumerate(values):
        if value != value // 1:
            raise DataError(
                f"the label {value!r} in column {cells.column!r} is not a whole number",
                where=cells.where(i),
                why="this looks like regression; only classes can be learned",
                mend="name the class column with --label, or turn the numbers into classes",
            )
    _refuse_minus_one(cells, values)
    notes = []
    if any(isinstance(value, float) for value in values):
        notes.append(f"labels in column {cells.column!r} are whole numbers written as reals and read as integers")
    whole = [int(value) for value in values]
    if supplied is not None:
        return *_name_supplied(cells, whole, supplied), notes
    return [str(value) for value in whole], [str(value) for value in sorted(set(whole))], notes


def _refuse_minus_one(cells: _Cells, values: Sequence[int | float]) -> None:
    hidden = [i for i, value in enumerate(values) if value == -1]
    if hidden:
        raise DataError(
            f"{len(hidden)} of {len(values)} labels in column {cells.column!r} are -1",
            where=cells.where(hidden[0]),
            why="-1 usually marks hidden labels",
            mend="remove these rows; if -1 is a class of yours, give it a name such as 'negative'",
        )


def _name_supplied(cells: _Cells, whole: Sequence[int], supplied: tuple[str, ...]) -> tuple[list[str], list[str]]:
    for i, value in enumerate(whole):
        if not 0 <= value < len(supplied):
            raise DataError(
                f"the label {value} is none of the {len(supplied)} classes the data names",
                where=cells.where(i),
                mend=f"use an index from 0 to {len(supplied) - 1}",
            )
    called = called_here(supplied)
    return [called[value] for value in whole], list(supplied if _truth(supplied) is None else NO_YES)


def called_here(supplied: Sequence[str]) -> list[str]:
    """What classes with these names are called in tables: ("no", "yes") for all kinds of no and yes."""
    truth = _truth(supplied)
    return list(supplied) if truth is None else [truth[name.casefold()] for name in supplied]


def _truth(words: Sequence[str]) -> dict[str, str] | None:
    folded = {word.casefold() for word in words}
    return next((truth for truth in _TRUTH if folded <= truth.keys()), None)


def _name_strings(cells: _Cells, texts: list[str]) -> tuple[list[str], list[str], list[str]]:
    distinct = sorted(set(texts))
    nothing = [text for text in distinct if text.casefold() in _NOTHING]
    rest = [text for text in distinct if text not in nothing]
    if nothing and rest and (_truth(rest) or all(_INTEGER.fullmatch(text) for text in rest)):
        i = texts.index(nothing[0])
        raise DataError(
            f"the label {nothing[0]!r} stands among {', '.join(map(repr, rest[:4]))}",
            where=cells.where(i),
            why=f"it looks like a missing label ({sum(text in nothing for text in texts)} rows)",
            mend="remove these rows; if it is a class of yours, give it another name",
        )
    counts = Counter(texts)
    notes = [f"the label {word!r} is read as a class of its own ({counts[word]} rows)" for word in nothing]
    truth = _truth(distinct)
    if truth is not None:
        return [truth[text.casefold()] for text in texts], list(NO_YES), notes
    return texts, distinct, notes


def _classes(cells: _Cells, names: Sequence[str], order: Sequence[str]) -> tuple[str, ...]:
    """Classes of train and dev, in order; checks their number and the test labels."""
    known = Counter(name for name, split in zip(names, cells.split, strict=True) if split != "test")
    if not known:
        raise DataError("train and dev have no rows", where=cells.column, mend="supply rows to learn from")
    if len(known) < 2:
        raise DataError(
            f"every label in column {cells.column!r} is {next(iter(known))!r}",
            where=cells.where(0),
            why="with one class there is nothing to learn",
            mend="name another column with --label, or add rows of another class",
        )
    if len(known) > max(2, known.total() / 2):
        raise DataError(
            f"column {cells.column!r} has {len(known)} different labels in {known.total()} rows",
            where=cells.where(0),
            why="the column is probably not the label",
            mend="name the label column with --label",
        )
    for i, name in enumerate(names):
        if name not in known:
            raise DataError(
                f"the test label {name!r} occurs neither in train nor in dev",
                where=cells.where(i),
                why="the classes there are " + ", ".join(map(repr, sorted(known)[:10])),
                mend="correct the label, or put rows of this class into train",
            )
    return tuple(name for name in dict.fromkeys(order) if name in known)


def _near_twins(classes: Sequence[str]) -> list[str]:
    seen: dict[str, str] = {}
    notes = []
    for name in classes:
        twin = seen.setdefault(name.casefold(), name)
        if twin != name:
            notes.append(f"the classes {twin!r} and {name!r} differ only in case and are kept apart")
    return notes

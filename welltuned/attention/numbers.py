"""The numbers that an experiment takes: declared once, read from flags or from JSON, checked one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from welltuned.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]
SMALLEST, LARGEST = 1e-100, 1e100
Given = Mapping[str, tuple[Any, str]]
"""By name: a JSON value, and the place it came from, such as ``--query`` or ``mine.json: query``."""


@dataclass(frozen=True)
class Entry:
    """How one of an experiment's numbers is written and checked.

    Attributes:
        about: what it is, for people.
        form: how it is written as a flag.
        read: from the text of a flag to a JSON value.
        check: from a JSON value and its place to the value the experiment gets.
        optional: whether JSON's null, the default then, stands for a choice the experiment makes.
        low, high: the least and the largest number that it takes; infinite where there is none.
    """

    about: str
    form: str
    read: Callable[[str], Any]
    check: Callable[[Any, str], Any]
    optional: bool = False
    low: float = -math.inf
    high: float = math.inf


def number(
    default: float | None, about: str, *, low: float = -math.inf, above: float = -math.inf, high: float = math.inf
) -> Any:
    """A field for one number, at least ``low``, more than ``above`` and at most ``high``."""

    def check(value: Any, where: str) -> float:
        found = as_number(value, where)
        if not (found >= low and found > above):
            least = f"{low:g} or more" if low > above else f"more than {above:g}"
            raise UsageError(f"{_said(found)} is too small", where=where, mend=f"give {least}")
        if found > high:
            raise UsageError(f"{_said(found)} is too large", where=where, mend=f"give {high:g} or less")
        return found

    least = max(low, above)
    return _entry(default, Entry(about, "X", _token, check, optional=default is None, low=least, high=high))


def whole(default: int | None, about: str, *, low: int = 0, high: int | None = None) -> Any:
    """A field for one whole number, ``low`` or more."""
    largest = math.inf if high is None else high
    check = _whole_between(low, high)
    return _entry(default, Entry(about, "N", _token, check, optional=default is None, low=low, high=largest))


def wholes(
    default: tuple[int, ...], about: str, *, low: int = 0, high: int | None = None, length: int | None = None
) -> Any:
    """A field for a list of different whole numbers."""
    check_one = _whole_between(low, high)

    def check(value: Any, where: str) -> tuple[int, ...]:
        found = tuple(check_one(item, f"{where}[{i}]") for i, item in enumerate(_listed(value, where, "numbers")))
        if length is not None and len(found) != length:
            raise UsageError(f"expected {length} numbers, got {len(found)}", where=where, mend=f"give {length} of them")
        if len(set(found)) < len(found):
            raise UsageError("the same number twice", where=where, mend="give different ones")
        return found

    return _entry(default, Entry(about, "N,N,...", _tokens, check))


def vector(default: Vector, about: str) -> Any:
    """A field for a list of numbers."""
    return _entry(default, Entry(about, "X,X,...", _tokens, as_vector))


def matrix(default: Matrix | None, about: str) -> Any:
    """A field for rows of numbers, equally long."""

    return _entry(default, Entry(about, "'X,X,...;X,X,...;...'", _rows, as_matrix, optional=default is None))


def pairs(default: tuple[tuple[int, int], ...] | None, about: str) -> Any:
    """A field for pairs of whole numbers."""
    check_one = _whole_between(0, None)

    def check(value: Any, where: str) -> tuple[tuple[int, int], ...]:
        found = []
        for i, row in enumerate(_listed(value, where, "rows")):
            two = _listed(row, f"{where}[{i}]", "numbers")
            if len(two) != 2:
                raise UsageError(f"expected two numbers, got {len(two)}", where=f"{where}[{i}]", mend="write '0,1;3,2'")
            found.append((check_one(two[0], f"{where}[{i}][0]"), check_one(two[1], f"{where}[{i}][1]")))
        return tuple(found)

    return _entry(default, Entry(about, "'N,N;N,N;...'", _rows, check, optional=default is None))


def switch(about: str) -> Any:
    """A field that is false unless asked for."""

    def check(value: Any, where: str) -> bool:
        if not isinstance(value, bool):
            raise UsageError(f"expected true or false, got {_said(value)}", where=where, mend="write one of these")
        return value

    return _entry(False, Entry(about, "", lambda text: {"true": True, "false": False}.get(text, text), check))


def text(default: str, about: str) -> Any:
    """A field for words."""

    def check(value: Any, where: str) -> str:
        if not isinstance(value, str):
            raise UsageError(f"expected a text, got {_said(value)}", where=where, mend="put it in quotes")
        return value

    return _entry(default, Entry(about, "TEXT", str, check))


def entries(kind: type[DataclassInstance]) -> dict[str, Entry]:
    """What an experiment takes, by name."""
    return {one.name: one.metadata["entry"] for one in fields(kind)}


def checked(kind: type[DataclassInstance], given: Given) -> dict[str, Any]:
    """The values of an experiment's fields, those that are given.

    Raises:
        UsageError: a name the experiment does not know, or a value that its entry refuses.
    """
    known = entries(kind)
    values = {}
    for name, (value, where) in given.items():
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"{name!r} is not known here", where=where, mend=f"{hint}known are {', '.join(known)}")
        entry = known[name]
        values[name] = None if value is None and entry.optional else entry.check(value, where)
    return values


def from_file(path: Path) -> dict[str, tuple[Any, str]]:
    """The numbers in a JSON file that holds one object.

    Raises:
        UsageError: the file cannot be read, or is no JSON object.
    """
    like = 'give a file like {"query": [1, 0], "keys": [[1, 0], [0, 1]]}'
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("the file cannot be read", where=str(path), why=str(error), mend=like) from error
    except (ValueError, RecursionError) as error:
        where = f"{path}:{getattr(error, 'lineno', 1)}"
        raise UsageError("this is not JSON", where=where, why=str(error), mend=like) from error
    if not isinstance(value, dict):
        raise UsageError("the file must hold one JSON object", where=str(path), mend=like)
    return {name: (one, f"{path}: {name}") for name, one in value.items()}


def from_flags(kind: type[DataclassInstance], words: Sequence[str]) -> dict[str, tuple[Any, str]]:
    """The numbers in ``--name value`` and ``--name=value``; a switch needs no value.

    Raises:
        UsageError: a word that is no flag, a flag the experiment does not take, or one without its value.
    """
    known = entries(kind)
    given: dict[str, tuple[Any, str]] = {}
    rest = list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--") or name not in known:
            flags = [f"--{one.replace('_', '-')}" for one in known]
            close = get_close_matches(flag, flags, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(f"{flag!r} is not known here", mend=f"{hint}known are {', '.join(flags)}")
        if not equals and known[name].form:
            if not rest or rest[0].startswith("--"):
                raise UsageError("the value is missing", where=flag, mend=f"write {flag} {known[name].form}")
            value = rest.pop(0)
        given[name] = (known[name].read(value) if equals or known[name].form else True, flag)
    return given


def written(value: Any) -> str:
    """A value as a flag takes it."""
    if isinstance(value, tuple):
        nested = any(isinstance(item, tuple) for item in value)
        return (";" if nested else ",").join(written(item) for item in value)
    return value if isinstance(value, str) else f"{value:g}"


def plain(value: Any) -> Any:
    """Tuples as lists, all the way down."""
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def as_number(value: Any, where: str) -> float:
    """The value, where it is a number whose square is within float64.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"expected a number, got {_said(value)}", where=where, mend="write one such as 2 or -0.5")
    try:
        if value == 0 or SMALLEST <= abs(float(value)) <= LARGEST:
            return value
    except OverflowError:
        pass
    raise UsageError(
        "the number is too large or too close to 0",
        where=where,
        why="products of such numbers leave the range of float64",
        mend=f"give 0, or one between {SMALLEST:g} and {LARGEST:g} in size",
    )


def as_vector(value: Any, where: str) -> Vector:
    """The value as numbers; errors as in :func:`as_number`."""
    return tuple(as_number(item, f"{where}[{i}]") for i, item in enumerate(_listed(value, where, "numbers")))


def as_matrix(value: Any, where: str) -> Matrix:
    """The value as rows of numbers, equally long; errors as in :func:`as_number`."""
    rows = tuple(as_vector(row, f"{where}[{i}]") for i, row in enumerate(_listed(value, where, "rows")))
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise UsageError(
                f"row {i} has {len(row)} numbers, row 0 has {len(rows[0])}",
                where=where,
                mend="give every row the same length",
            )
    return rows


def _listed(value: Any, where: str, of: str) -> Sequence[Any]:
    if isinstance(value, list | tuple) and value:
        return value
    mend = "write [[1, 2], [3, 4]], or '1,2;3,4' as a flag" if of == "rows" else "write [1, 2, 3]; one number is [1]"
    raise UsageError(f"expected a list of {of}, got {_said(value)}", where=where, mend=mend)


def _entry(default: Any, entry: Entry) -> Any:
    return field(default=default, metadata={"entry": entry})


def _token(word: str) -> Any:
    """A word as a number, or as it stands where it is none: the check then tells where."""
    for read in (int, float):
        try:
            return read(word)
        except ValueError:
            continue
    return word.strip()


def _tokens(words: str) -> Any:
    if words.lstrip().startswith("["):
        return _json(words)
    return [_token(word) for word in words.split(",")]


def _rows(words: str) -> Any:
    if words.lstrip().startswith("["):
        return _json(words)
    return [_tokens(row) for row in words.split(";")]


def _json(words: str) -> Any:
    try:
        return json.loads(words)
    except (ValueError, RecursionError):
        return words


def _whole_between(low: int, high: int | None) -> Callable[[Any, str], int]:
    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(f"expected a whole number, got {_said(value)}", where=where, mend="write one such as 3")
        if value < low or (high is not None and value > high):
            mend = f"give {low} or more" if high is None else f"give {low} to {high}"
            raise UsageError(f"{value} is out of range", where=where, mend=mend)
        return value

    return check


def _said(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 40 else said[:37] + "..."

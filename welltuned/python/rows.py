"""What a person hands over as ``X``: lists, arrays, pandas and datasets objects, brought to columns of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from welltuned.data.columns import resolve
from welltuned.data.readers import Table
from welltuned.python.errors import InputError
from welltuned.spec import DataSpec

NAMES = ("text", "text_pair")
LABEL = "label"
FORMS = (
    "a list of texts, a list of (text, text) pairs, a Series, or a DataFrame or Dataset with one or two text columns"
)


@dataclass(frozen=True)
class Rows:
    """N rows of one text or of two.

    Attributes:
        names: of the one or two columns.
        columns: [K][N] the texts.
        named: whether the names are the caller's own.
        labels: [N], where the rows brought them along.
        label: the name of that column.
    """

    names: tuple[str, ...]
    columns: tuple[list[str], ...]
    named: bool = False
    labels: Sequence[Any] | None = None
    label: str = LABEL

    def __len__(self) -> int:
        return len(self.columns[0])

    def array(self) -> Any:
        """[N, K] texts as an object array, or as a DataFrame where the columns have names of the caller's own."""
        texts = np.empty((len(self), len(self.columns)), dtype=object)
        for k, column in enumerate(self.columns):
            texts[:, k] = column
        if not self.named:
            return texts
        import pandas

        return pandas.DataFrame(texts, columns=list(self.names))

    def columns_of(self, source: str) -> dict[str, Any]:
        """The fields of a data spec that name the source and its columns."""
        pair = self.names[1] if len(self.names) == 2 else ""
        return {"source": source, "text": self.names[0], "text_pair": pair, "label": self.label}

    def table(self, what: str, labels: Sequence[int], classes: Sequence[str]) -> Table:
        """The rows as the data room reads them.

        Args:
            what: what messages call them: row 3 is ``X[3]``.
            labels: [N] indices into ``classes``.
        """
        columns: dict[str, list[Any]] = dict(zip(self.names, self.columns, strict=True))
        columns[self.label] = [int(label) for label in labels]
        origin = tuple(f"{what}[{i}]" for i in range(len(self)))
        return Table(what, columns, origin, {self.label: tuple(classes)})


def read(given: Any, what: str = "X", wanted: Sequence[str] | None = None) -> Rows:
    """The rows of anything that holds texts.

    Args:
        given: see ``FORMS``; a Dataset may hold more columns.
        what: what messages call it.
        wanted: the columns to take of a Dataset; else those with the usual names, and their labels.

    Raises:
        InputError: it holds something else; says where.
    """
    if is_dataset(given):
        return _of_dataset(given, what, wanted)
    if hasattr(given, "iloc") and hasattr(given, "columns"):
        return _of_frame(given, what)
    if hasattr(given, "toarray") and hasattr(given, "nnz"):
        why = "it holds numbers, and the tokenizer makes those itself"
        raise InputError("a sparse matrix holds no texts", where=what, why=why, mend=f"give {FORMS}")
    shapeless = getattr(given, "ndim", 1) == 0
    if isinstance(given, str | bytes | Mapping | Set) or shapeless or not hasattr(given, "__len__"):
        raise InputError(
            f"a {type(given).__name__} is not rows of text",
            where=what,
            why="rows have a number and an order, so that each has its own label or answer",
            mend=f"give {FORMS}",
        )
    array = given.to_numpy() if hasattr(given, "to_numpy") else given
    if isinstance(array, np.ndarray) and array.dtype.kind not in "OUT":
        raise _numbers(what, str(array.dtype))
    return _of_sequence(array, what)


def is_dataset(given: Any) -> bool:
    """Whether it is a Dataset of the ``datasets`` library, which may bring its labels along."""
    return hasattr(given, "column_names") and hasattr(given, "features")


def _of_dataset(given: Any, what: str, wanted: Sequence[str] | None) -> Rows:
    names = list(given.column_names)
    if not hasattr(given, "__len__"):
        why = "every epoch goes over the same rows"
        raise InputError("a streamed dataset has no fixed rows", where=what, why=why, mend="load it without streaming")
    label = None
    if wanted is None and len(names) > 2:
        empty = Table(what, {name: [] for name in names}, ())
        found, _ = resolve({what: empty}, DataSpec(source=what))
        wanted, label = [name for name in (found.text, found.text_pair) if name], found.label
    wanted = names if wanted is None else wanted
    if missing := [name for name in wanted if name not in names]:
        why = f"there are {', '.join(names)}"
        raise InputError(f"there is no column {missing[0]!r}", where=what, why=why, mend="name the columns as in fit")
    plain = given.with_format(None)
    columns = tuple(_texts(list(plain[name]), what, name) for name in _one_or_two(wanted, what))
    labels = list(plain[label]) if label else None
    return Rows(tuple(wanted), columns, named=True, labels=labels, label=label or LABEL)


def _of_frame(given: Any, what: str) -> Rows:
    names = _one_or_two(list(given.columns), what)
    if len(set(names)) < len(names):
        raise InputError(
            f"two columns are called {names[0]!r}",
            where=what,
            why="columns are known by their names",
            mend="rename one, such as to text_pair",
        )
    columns = tuple(_texts(given.iloc[:, k].tolist(), what, str(name)) for k, name in enumerate(names))
    named = all(isinstance(name, str) for name in names)
    return Rows(tuple(names) if named else NAMES[: len(names)], columns, named)


def _of_sequence(given: Any, what: str) -> Rows:
    rows = list(given)
    if not rows:
        return Rows(NAMES[:1], ([],))
    if all(isinstance(row, str) for row in rows):
        return Rows(NAMES[:1], (_texts(rows, what),))
    width = len(rows[0]) if isinstance(rows[0], list | tuple | np.ndarray) else 0
    if not width:
        return Rows(NAMES[:1], (_texts(rows, what),))
    _one_or_two(range(width), what)
    for i, row in enumerate(rows):
        if not isinstance(row, list | tuple | np.ndarray) or len(row) != width:
            raise InputError(
                f"this row is {row!r:.60}, the first has {width} text{'s' if width > 1 else ''}",
                where=f"{what}[{i}]",
                why="a model reads either single texts or pairs",
                mend="give every row as many texts",
            )
    return Rows(NAMES[:width], tuple(_texts([row[k] for row in rows], what) for k in range(width)))


def _one_or_two(names: Any, what: str) -> Any:
    if len(names) not in (1, 2):
        raise InputError(
            f"{len(names)} columns where one or two of text are expected",
            where=what,
            why="a model reads a text, or a pair of texts",
            mend="choose them, such as X[['question', 'passage']]",
        )
    return names


def _texts(values: Sequence[Any], what: str, column: str | None = None) -> list[str]:
    for i, value in enumerate(values):
        if not isinstance(value, str):
            missing = is_missing(value)
            raise InputError(
                f"{value!r:.60} is {'a missing value' if missing else 'of type ' + type(value).__name__}, not text",
                where=f"{what}[{i}]" + (f", column {column!r}" if column else ""),
                why="the tokenizer reads text alone, and nothing is guessed in its place",
                mend="fill in or remove such rows" if missing else f"give {FORMS}",
            )
    return [str(value) for value in values]


def is_missing(value: Any) -> bool:
    """None, NaN, or pandas' NA, which has no truth value."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value)


def _numbers(what: str, kind: str) -> InputError:
    why = "it holds numbers, and the tokenizer makes those itself"
    return InputError(f"an array of {kind} holds no texts", where=what, why=why, mend=f"give {FORMS}")

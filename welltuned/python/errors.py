"""Our errors as Python callers expect them: ``ValueError`` too, and parameters named as in Python."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from welltuned.errors import DataError, UsageError


class InputError(DataError, ValueError):
    """Rows or labels that cannot be used."""


class ParameterError(UsageError, ValueError):
    """A parameter that cannot be used."""


@contextmanager
def told_in_python() -> Iterator[None]:
    """Within, errors about data and parameters are raised as ``ValueError`` too; ``--max-length`` is ``max_length``."""
    try:
        yield
    except (InputError, ParameterError):
        raise
    except DataError as error:
        raise InputError(error.what, where=error.where, why=error.why, mend=error.mend) from error
    except UsageError as error:
        where = error.where and _parameter(error.where)
        raise ParameterError(error.what, where=where, why=error.why, mend=error.mend) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or None
        raise ParameterError(
            f"{first['input']!r:.100} cannot be used here",
            where=where,
            why=first["msg"],
            mend="help(welltuned.Classifier) and help(welltuned.compare) say what each parameter takes",
        ) from error


def place(value: Any, name: str) -> Path:
    """A parameter that names a folder.

    Raises:
        ParameterError: it is no path.
    """
    if not isinstance(value, str | Path):
        kind = type(value).__name__
        raise ParameterError(
            f"{value!r:.60} is no folder", where=name, why=f"it is of type {kind}", mend="give its path"
        )
    return Path(value)


def word(value: Any, name: str) -> str:
    """A parameter that is one string.

    Raises:
        ParameterError: it is none.
    """
    if not isinstance(value, str):
        kind = type(value).__name__
        raise ParameterError(f"{value!r:.60} is no name", where=name, why=f"it is of type {kind}", mend="give a string")
    return value


def words(value: Any, name: str) -> list[str]:
    """A parameter that is one string with commas, or a list of strings.

    Raises:
        ParameterError: it is neither.
    """
    if isinstance(value, str):
        return [one.strip() for one in value.split(",")]
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        why = f"it is of type {type(value).__name__}, or holds something else than strings"
        raise ParameterError(
            f"{value!r:.60} is no list of names", where=name, why=why, mend='write "a,b" or ["a", "b"]'
        )
    return [one.strip() for one in value]


def whole_numbers(value: Any, name: str) -> list[int]:
    """A parameter that is a list of whole numbers.

    Raises:
        ParameterError: it is none.
    """
    try:
        return [operator.index(one) for one in value]
    except TypeError as error:
        raise ParameterError(
            f"{value!r:.60} is no list of whole numbers",
            where=name,
            why=str(error),
            mend="write one, such as [0, 1, 2]",
        ) from error


def _parameter(option: str) -> str:
    return option.replace("--", "").replace("-", "_") if option.startswith("--") else option

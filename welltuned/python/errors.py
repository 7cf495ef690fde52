"""Our errors as Python callers expect them: ``ValueError`` too, and parameters named as in Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
        raise ParameterError(f"{first['input']!r} cannot be used here", where=where, why=first["msg"]) from error


def _parameter(option: str) -> str:
    return option.removeprefix("--").replace("-", "_") if option.startswith("--") else option

"""What the shell offers for the values of options: generated data, model aliases, methods. Nothing heavy is imported.

A parameter of a command gets its completer by its name, so that a new command has it without being listed here.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

from typer.models import ParameterInfo

import welltuned
from welltuned import methods
from welltuned.addresses import ALIASES, PACKAGED_FROM

Names = Callable[[], Iterable[str]]


def _data() -> list[str]:
    folder = str(Path(welltuned.__file__).parent / "data")
    return [f"builtin:{module.name}" for module in pkgutil.iter_modules([folder]) if module.ispkg]


def _models() -> list[str]:
    return [*PACKAGED_FROM, *ALIASES]


_BY_NAME: dict[str, Names] = {
    "data": _data,
    "source": _data,
    "model": _models,
    "models": _models,
    "method": methods.names,
    "methods": methods.names,
}


def completer(names: Names) -> Callable[[str], list[str]]:
    """Offers names for the last part of a comma-separated list; where none fits, the shell offers files."""

    def offered(incomplete: str) -> list[str]:
        before, comma, begun = incomplete.rpartition(",")
        return [before + comma + name for name in sorted(names()) if name.startswith(begun)]

    return offered


def with_completion(parameter: inspect.Parameter) -> inspect.Parameter:
    """A parameter of a command whose text the shell can complete, where its name is known."""
    kind, *told = get_args(parameter.annotation) or (None,)
    if parameter.name in _BY_NAME and kind in (str, str | None):
        for one in told:
            if isinstance(one, ParameterInfo):
                one.autocompletion = completer(_BY_NAME[parameter.name])
    return parameter

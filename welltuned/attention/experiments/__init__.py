"""The experiments of ``welltuned attention``: one file each, found by the file's name.

A file holds one class derived from ``Experiment``: its docstring says what is shown, its fields are the numbers it
takes, with the sheet's as defaults, and ``run`` makes a ``Finding`` of them.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from difflib import get_close_matches
from typing import TYPE_CHECKING

from welltuned.errors import UsageError

if TYPE_CHECKING:
    from welltuned.attention.experiments._base import Experiment


def names() -> tuple[str, ...]:
    """All experiments by name, in alphabetical order; nothing is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def find(name: str) -> type[Experiment]:
    """The class of an experiment.

    Raises:
        UsageError: there is no such experiment, or its file does not hold exactly one.
    """
    from welltuned.attention.experiments._base import Experiment

    if name not in names():
        close = get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(
            f"there is no experiment {name!r}", where="EXPERIMENT", mend=f"{hint}choose among {', '.join(names())}, all"
        )
    module = importlib.import_module(f"{__name__}.{name}")
    own = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Experiment) and kind.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise UsageError(f"the file of experiment {name!r} holds {len(own)} instead of one", where=module.__file__)
    return own[0]

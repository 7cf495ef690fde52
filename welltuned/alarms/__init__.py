"""Alarms: findings that make a figure untrustworthy, each with its likely cause and a mend.

One file a subject. An alarm is a public function of one argument, the kind of evidence that it needs; it is found by
that argument's type, so a new alarm is a new function and nothing else. What each means stands in docs/alarms.md.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

from welltuned.alarms._evidence import Evidence, Failure, Panel, Reading, Removal, Rows, Standing, Trace, Training
from welltuned.record import Alarm

__all__ = ["Evidence", "Failure", "Panel", "Reading", "Removal", "Rows", "Standing", "Trace", "Training", "checks",
           "raised"]  # fmt: skip

Check = Callable[[Any], list[Alarm]]


@cache
def checks() -> tuple[tuple[type, Check], ...]:
    """Every alarm with the kind of evidence it needs, in the order of files and of functions in them."""
    found: list[tuple[type, Check]] = []
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")):
        module = importlib.import_module(f"{__name__}.{name}")
        for title, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ != module.__name__ or title.startswith("_"):
                continue
            hints = get_type_hints(function)
            if hints.pop("return") == list[Alarm]:
                (kind,) = hints.values()
                found.append((kind, function))
    return tuple(found)


def raised(evidence: Evidence) -> list[Alarm]:
    """All alarms that this evidence gives rise to."""
    return [alarm for kind, check in checks() if kind is type(evidence) for alarm in check(evidence)]

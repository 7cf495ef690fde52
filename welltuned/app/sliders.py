"""From an experiment's numbers to controls of a page: what each is, and how its value is read back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from welltuned.attention import numbers
from welltuned.attention.experiments._base import Experiment
from welltuned.attention.numbers import Entry, Given
from welltuned.errors import UsageError

REACH, VECTOR_REACH, STOPS = 5.0, 2.0, 100
"""How far a slider without a bound reaches, as a multiple of the default; and about how many stops it has."""


@dataclass(frozen=True)
class Scale:
    """A slider: from ``low`` to ``high`` in steps, standing at ``value``."""

    low: float
    high: float
    step: float
    value: float


@dataclass(frozen=True)
class Control:
    """One field of an experiment on the page.

    Attributes:
        name, about: of the field.
        form: how it is written where it is written.
        value: the default, as text or as a truth.
        scales: one a number, for sliders; none for what is written.
        whole: whether the numbers are whole.
        many: whether the field is a list of as many numbers as there are sliders.
    """

    name: str
    about: str
    form: str
    value: str | bool
    scales: tuple[Scale, ...] = ()
    whole: bool = False
    many: bool = False


def controls(kind: type[Experiment]) -> list[Control]:
    """The controls of an experiment's fields, in their order."""
    entries = numbers.entries(kind)
    return [_control(one.name, entries[one.name], one.default) for one in fields(kind)]


def _control(name: str, entry: Entry, default: Any) -> Control:
    about = entry.about
    if isinstance(default, bool):
        return Control(name, about, entry.form, default)
    if default is None or entry.form not in ("X", "N", "X,X,..."):
        written = "" if default is None else numbers.written(default).replace(";", "\n")
        return Control(name, about, entry.form, written)
    many = isinstance(default, tuple)
    items = default if many else (default,)
    span = VECTOR_REACH * max(map(abs, items)) if many else None
    scales = tuple(_scale(float(item), entry, span) for item in items)
    return Control(name, about, entry.form, "", scales, whole=entry.form == "N", many=many)


def _scale(value: float, entry: Entry, span: float | None) -> Scale:
    reach = span if span is not None else REACH * abs(value) or 10.0
    low, high = max(entry.low, -reach), min(entry.high, reach)
    step = 1.0 if entry.form == "N" else _round_down((high - low) / STOPS)
    low = math.ceil(round(low / step, 9)) * step
    return Scale(low if span is not None or _takes(entry, low) else low + step, high, step, value)


def _takes(entry: Entry, value: float) -> bool:
    """Whether a bound belongs to the numbers that are allowed."""
    try:
        entry.check(int(value) if entry.form == "N" else value, "")
    except UsageError:
        return False
    return True


def _round_down(step: float) -> float:
    """The next of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= step * (1 + 1e-9))


def given(kind: type[Experiment], values: Sequence[Any]) -> Given:
    """What stands in the controls, in their order, as an experiment takes it; what is left empty is its default."""
    entries, left, found = numbers.entries(kind), list(values), {}
    for one in controls(kind):
        value: Any
        if one.scales:
            taken = [_number(left.pop(0), one.whole) for _ in one.scales]
            value = taken if one.many else taken[0]
        else:
            value = left.pop(0)
            if not isinstance(value, bool):
                value = _written(str(value or ""), entries[one.name])
        if value is not None:
            found[one.name] = (value, one.name)
    return found


def _number(value: Any, whole: bool) -> Any:
    return int(value) if whole and isinstance(value, float) and value.is_integer() else value


def _written(text: str, entry: Entry) -> Any:
    """A value as written, rows one a line; None where nothing is."""
    if entry.form == "TEXT":
        return text
    return entry.read(";".join(line for line in text.splitlines() if line.strip())) if text.strip() else None

"""The hyperparameters that a search varies: read from words, or a method's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from welltuned import methods
from welltuned.errors import UsageError
from welltuned.methods._base import Choice, Range

Space = Mapping[str, Choice | Range]
LOG_FROM = 10
"""A range whose ends are this factor apart is searched on a logarithmic scale."""


def space(method: str, grids: Sequence[str], ranges: Sequence[str]) -> Space:
    """What ``--grid FIELD=A,B,C`` and ``--range FIELD=LOW..HIGH`` say, else the method's own space.

    Args:
        method: its name.

    Raises:
        UsageError: a part that cannot be read, or a field named twice.
    """
    found: dict[str, Choice | Range] = {}
    for option, texts, read in (("--grid", grids, _choice), ("--range", ranges, _range)):
        for text in texts:
            field, _, values = text.partition("=")
            field = field.strip().replace("-", "_")
            if field in found:
                raise UsageError(f"{field} is named twice", where=option)
            found[field] = read(text, values)
    return found or dict(methods.find(method).search_space)


def _choice(text: str, values: str) -> Choice:
    found = tuple(value.strip() for value in values.split(",") if value.strip())
    if not found or len(set(found)) < len(found):
        raise UsageError(
            f"{text!r} is no list of different values", where="--grid", mend="write --grid lr=1e-4,5e-4,1e-3"
        )
    return Choice(found)


def _range(text: str, values: str) -> Range:
    try:
        low, high = (float(end) for end in values.split(".."))
    except ValueError:
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise UsageError(
            f"{text!r} is no range", where="--range", mend="write two numbers, the lower first: --range lr=1e-5..1e-3"
        )
    whole = not any(sign in values.replace("..", "") for sign in ".e")
    return Range(low, high, log=low > 0 and high / low >= LOG_FROM, whole=whole)


def told(part: Choice | Range) -> str:
    """One hyperparameter's part of the space in words."""
    if isinstance(part, Choice):
        return ", ".join(map(str, part.values))
    return f"{part.low:g} to {part.high:g}" + (", on a logarithmic scale" if part.log else "")

"""How each attribute is said and asked.

Placeholders: ``{e}`` the entity, ``{f}`` another entity or a limit, ``{v}`` the value, ``{c}`` a word of
comparison, ``{s}`` a superlative. Sentences of a passage and questions use different words on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import cast


@dataclass(frozen=True)
class Scale:
    """Questions about the order of numbers or years.

    Attributes:
        than: a question with ``{e}``, ``{c}`` and ``{f}``.
        top: a question with ``{e}`` and ``{s}``, asked about three entities.
        up, down: (comparative, superlative) for the greater and for the smaller value.
        limit: a question with ``{e}``, ``{c}`` and the limit ``{f}``, where ``than`` does not fit.
    """

    than: str
    top: str
    up: tuple[str, str]
    down: tuple[str, str] = ("", "")
    limit: str = ""


@dataclass(frozen=True)
class Wording:
    """The language of one attribute.

    Attributes:
        noun: the attribute as "the NOUN of {e}", with any article left out.
        claim: a clause with ``{e}`` and ``{v}`` that can follow "that".
        says: sentences of a passage with ``{e}`` and ``{v}``.
        asks: yes/no questions with ``{e}`` and ``{v}``, without the final question mark.
        scale: how its values are ordered, for numbers and years.
    """

    noun: str
    claim: str
    says: tuple[str, ...]
    asks: tuple[str, ...]
    scale: Scale | None = None


def years(than: str, top: str) -> Scale:
    """The scale of a year, compared by before and after."""
    return Scale(than, top, up=("after", "last"), down=("before", "first"))


@cache
def wording(domain: str) -> Mapping[str, Wording]:
    """The language of each attribute of a domain: ``WORDING`` of the module of its name in ``phrases``."""
    module = import_module(f"welltuned.data.yesno.phrases.{domain}")
    return cast(Mapping[str, Wording], module.WORDING)

"""The first tab: the verdict, and under it the very parts of the report's page."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from welltuned import report
from welltuned.app import turns
from welltuned.app.folder import Contents, Stamp, contents, stamp
from welltuned.app.markup import folded, framed, note, told, trouble
from welltuned.report.markup import Markup, element, join

FOLDED = ("scores", "suspects", "budget", "data", "how", "reproduce")
"""Parts that are there for who asks for them."""


@told
def shown(folder: str) -> str:
    """Everything that is known of a folder's results, as HTML."""
    place = Path(folder)
    return _shown(place, stamp(place))


@lru_cache(maxsize=4)
def _shown(folder: Path, now: Stamp) -> str:  # noqa: ARG001
    found = contents(folder)
    verdict = element("p", found.verdict, class_="verdict")
    kind = element("p", found.data, class_="kind")
    return framed(join([kind, verdict, *_troubles(found), *_body(found)]))


def _troubles(found: Contents) -> list[Markup]:
    return [trouble(error, f"{name} cannot be read") for name, error in found.damaged.items()]


def _body(found: Contents) -> list[Markup]:
    if found.results is None:
        if not found.runs and not found.going:
            told = "Start one with, for example, welltuned compare DATA --out FOLDER; this page shows it as it goes on."
            return [note(f"Nothing was found in {found.folder}", told)]
        told = "The comparison is judged when the last run is done. The curves so far stand under Curves."
        return [note("There is no verdict yet", told)]
    with turns.drawing:
        parts = report.parts(found.folder)
    return [folded(part.heading, part.body) if part.anchor in FOLDED else part.markup() for part in parts]

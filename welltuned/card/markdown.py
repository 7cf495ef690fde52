"""Tables and words of a card, such that no text of a record can break them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are plain already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def code(text: str) -> str:
    """A name, as it is written."""
    return f"`{plain(text).replace('`', chr(39))}`"


def plain(text: str) -> str:
    """On one line, and no column's end."""
    return " ".join(text.split()).replace("|", "\\|")

"""HTML built from values that are escaped by construction: a plain string can only ever become text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_VOID = frozenset({"img", "br", "hr"})


class Markup(str):
    """HTML that :func:`element` made; every other string is escaped where it enters the page."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    """Text as HTML, or markup as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(text, quote=True))


def join(parts: Iterable[str]) -> Markup:
    """Parts one after another, escaped where they are plain text."""
    return Markup("".join(escaped(part) for part in parts))


def element(tag: str, *children: str, **attributes: str) -> Markup:
    """One element. ``class_`` and ``aria_label`` stand for the attributes ``class`` and ``aria-label``."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{html.escape(value, quote=True)}"'
        for name, value in attributes.items()
    )
    return Markup(f"<{tag}{written}>" if tag in _VOID else f"<{tag}{written}>{join(children)}</{tag}>")


def code(text: str) -> Markup:
    """A short piece of code in a line of text."""
    return element("code", text)


def block(text: str) -> Markup:
    """Lines of code; the block can be scrolled by keyboard."""
    return element("pre", element("code", text), tabindex="0")


def bullets(items: Sequence[str]) -> Markup:
    """An unordered list."""
    return element("ul", *(element("li", item) for item in items))


@dataclass(frozen=True)
class Column:
    """The head of a column; numbers stand right, with digits of one width."""

    name: str
    numeric: bool = False


@dataclass(frozen=True)
class Group:
    """Rows of a table under a heading of their own (none where ``name`` is empty).

    A row shorter than the table's head spreads its last cell over the columns that are left.
    """

    rows: Sequence[Sequence[str]]
    name: str = ""


def table(caption: str, columns: Sequence[Column], *groups: Group) -> Markup:
    """A table whose first cells head their rows; too wide a table scrolls by itself, by keyboard too."""
    head = element("tr", *(_head(column) for column in columns))
    bodies = [_body(columns, group) for group in groups if group.rows]
    size = "small" if len(columns) <= 4 else "wide"
    return element(
        "div",
        element("table", element("caption", caption), element("thead", head), *bodies, class_=size),
        class_="scroll", role="region", tabindex="0", aria_label=f"Table: {caption}",
    )  # fmt: skip


def pairs(caption: str, rows: Sequence[tuple[str, str]], what: str = "what", value: str = "value") -> Markup:
    """A table of names and values."""
    return table(caption, [Column(what), Column(value)], Group(rows))


def _head(column: Column) -> Markup:
    return element("th", column.name, scope="col", class_="number" if column.numeric else "text")


def _body(columns: Sequence[Column], group: Group) -> Markup:
    lines = [_row(columns, row) for row in group.rows]
    if group.name:
        heading = element("th", group.name, scope="rowgroup", colspan=str(len(columns)))
        lines.insert(0, element("tr", heading, class_="group"))
    return element("tbody", *lines)


def _row(columns: Sequence[Column], row: Sequence[str]) -> Markup:
    cells = [element("th", row[0], scope="row")]
    for index, cell in enumerate(row[1:], start=1):
        rest = len(columns) - index
        if index == len(row) - 1 and rest > 1:
            cells.append(element("td", cell, colspan=str(rest), class_="text"))
        else:
            cells.append(element("td", cell, class_="number" if columns[index].numeric else "text"))
    return element("tr", *cells)

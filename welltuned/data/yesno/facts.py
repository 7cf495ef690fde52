"""Tables of facts: one TSV per domain, typed by its header, split by entity."""

from __future__ import annotations

import csv
import random
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal, cast, get_args

from welltuned.errors import DataError

Kind = Literal["text", "number", "year", "set"]
Value = str | float | tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Entity:
    """One thing that questions are asked about, with a value for every attribute of its domain."""

    name: str
    values: Mapping[str, Value]

    def text(self, attribute: str) -> str:
        """The value of a ``text`` attribute, or of a ``year`` attribute in digits."""
        value = self.values[attribute]
        return str(int(value)) if isinstance(value, float) else str(value)

    def number(self, attribute: str) -> float:
        """The value of a ``number`` or ``year`` attribute."""
        return float(cast(float, self.values[attribute]))

    def members(self, attribute: str) -> tuple[str, ...]:
        """The members of a ``set`` attribute."""
        return cast(tuple[str, ...], self.values[attribute])


@dataclass(frozen=True)
class Domain:
    """A table: what it is about, the kind of each attribute, and its entities."""

    name: str
    kinds: Mapping[str, Kind]
    entities: tuple[Entity, ...]

    def attributes(self, *kinds: Kind) -> list[str]:
        """Names of the attributes of these kinds, in column order."""
        return [name for name, kind in self.kinds.items() if kind in kinds]


def load_domains() -> tuple[Domain, ...]:
    """Every packaged table, by name.

    Raises:
        DataError: a table with an unknown kind, a missing value or a repeated entity.
    """
    tables = sorted((files(__package__) / "facts").iterdir(), key=lambda table: table.name)
    return tuple(
        parse_domain(table.name.removesuffix(".tsv"), table.read_text(encoding="utf-8"))
        for table in tables
        if table.name.endswith(".tsv")
    )


def parse_domain(name: str, table: str) -> Domain:
    """Read one table: header ``name``, then ``attribute:kind``; members of a set are parted by ``;``.

    Raises:
        DataError: the table does not keep to this form.
    """
    header, *rows = csv.reader(table.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    kinds: dict[str, Kind] = {}
    for column in header[1:]:
        attribute, _, kind = column.partition(":")
        if kind not in get_args(Kind):
            raise DataError(
                f"column {column!r} has no known kind",
                where=f"{name}.tsv:1",
                mend="write attribute:kind, with one of the kinds " + ", ".join(get_args(Kind)),
            )
        kinds[attribute] = cast(Kind, kind)
    entities = tuple(_entity(f"{name}.tsv:{line}", kinds, row) for line, row in enumerate(rows, 2))
    if len({entity.name for entity in entities}) < len(entities):
        raise DataError("an entity stands in two rows", where=f"{name}.tsv", mend="keep one of them")
    return Domain(name, kinds, entities)


def _entity(where: str, kinds: Mapping[str, Kind], row: list[str]) -> Entity:
    if len(row) != len(kinds) + 1 or not all(row):
        raise DataError(
            f"{len(row)} values, some perhaps empty, for {len(kinds) + 1} columns",
            where=where,
            mend="give every entity a value for every attribute",
        )
    pairs = zip(kinds.items(), row[1:], strict=True)
    return Entity(row[0], {attribute: _value(kind, cell) for (attribute, kind), cell in pairs})


def _value(kind: Kind, cell: str) -> Value:
    if kind == "set":
        return tuple(cell.split(";"))
    return cell if kind == "text" else float(cell)


def split_entities(domain: Domain, shares: Mapping[str, float], rng: random.Random) -> dict[str, tuple[Entity, ...]]:
    """Deal the entities of a domain at random into disjoint splits of about these shares (summing to 1)."""
    order = list(domain.entities)
    rng.shuffle(order)
    splits: dict[str, tuple[Entity, ...]] = {}
    start, reached = 0, 0.0
    for split, share in shares.items():
        reached += share
        end = round(reached * len(order))
        splits[split] = tuple(order[start:end])
        start = end
    return splits

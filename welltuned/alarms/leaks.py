"""Rows or passages that stand in more than one split."""

from __future__ import annotations

from welltuned.alarms._evidence import Rows
from welltuned.data.checks import Overlap, overlaps
from welltuned.record import Alarm

LEAST = 0.01
"""Share of the rows of the later split from which near rows and passages in common matter."""


def leaked(rows: Rows) -> list[Alarm]:
    """Rows that stand in an earlier split too (any), or nearly do, or whose passage does (1% of the rows or more)."""
    sizes = {"train": len(rows.dataset.train), "dev": len(rows.dataset.dev), "test": len(rows.dataset.test)}
    found = [one for one in overlaps(rows.dataset, supplied=False) if one.distinct]
    serious = [one for one in found if _same_rows(one) or one.right_rows >= LEAST * sizes[one.right]]
    # The loosest matcher holds what the stricter ones found.
    widest = {(one.left, one.right, one.unit): one for one in serious}
    return [_alarm(one, sizes) for one in widest.values()]


def _same_rows(one: Overlap) -> bool:
    return one.unit == "row" and one.match != "near-duplicate"


def _alarm(one: Overlap, sizes: dict[str, int]) -> Alarm:
    first = one.examples[0]
    return Alarm(
        kind=f"leak-{one.unit}s",
        what=f"{one.right_rows:,} of {sizes[one.right]:,} {one.right} rows have a {one.unit} that stands in {one.left} "
        f"too ({one.match}; {one.distinct:,} {one.unit}s), such as {first.text!r} ({first.left} and {first.right})",
        cause="the same source was cut row by row, or the splits as supplied overlap",
        mend="use --split grouped, which cuts anew so that no passage, nor one nearly like it, stands in two splits",
    )

"""Compute every figure of a report again, from records and stored answers alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from welltuned.cli import options


def command(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder that compare or train wrote.")],
    json: options.Json = False,
) -> None:
    """Compute every figure of a report again, from records and stored answers alone; needs no torch.

    Says whether the figures equal those stored in results.json; leaves with 3 where one does not.
    """
    from welltuned.cli import console
    from welltuned.errors import DataError
    from welltuned.recomputing import recompute
    from welltuned.record import ComparisonRecord
    from welltuned.report.terminal import told

    found = recompute(runs)
    if isinstance(found.record, ComparisonRecord):
        statements = (f"{one.a} against {one.b}: {one.sentence}" for one in found.record.statements)
        console.show(found.record, json, *statements, "", *told(found.record))
    else:
        console.show(found.record, json, found.record.verdict)
    if found.opened_since:
        console.stderr.print(f"the same test labels were opened {found.opened_since} more times since", markup=False)
    if found.differences:
        raise DataError(
            f"{len(found.differences)} figures differ from those stored in results.json",
            where=str(runs),
            why="; ".join(found.differences[:5]),
            mend="records or arrays were changed after the results were written; run the same command again",
        )
    console.stderr.print(f"all {found.figures:,} figures equal those stored in results.json", markup=False)

"""Draw the report of a finished command again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder that a finished command wrote.")],
) -> None:
    """Draw the tables, plots and page of finished runs again, from their records alone."""
    from welltuned.cli import console
    from welltuned.report import read, render
    from welltuned.report.terminal import told

    drawn = render(runs)
    for part in told(read(runs)):
        console.stdout.print(part, markup=False, soft_wrap=isinstance(part, str))
    console.stdout.print(f"report: {drawn}", soft_wrap=True)

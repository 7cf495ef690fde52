"""Draw the report of a finished command again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Folder that compare or train wrote.")],
) -> None:
    """Draw the tables, plots and page of finished runs again, from their records alone."""
    from welltuned.cli import console
    from welltuned.record import read_comparison, read_run
    from welltuned.report import render
    from welltuned.report.terminal import alarm_lines, comparison_table, run_table

    page = render(runs)
    if (runs / "record.json").is_file():
        console.stdout.print(run_table(read_run(runs)))
    else:
        record = read_comparison(runs)
        console.stdout.print(comparison_table(record))
        for line in alarm_lines(record):
            console.stdout.print(line, markup=False, soft_wrap=True)
        console.stdout.print(record.verdict, markup=False, soft_wrap=True)
    console.stdout.print(f"report: {page}", soft_wrap=True)

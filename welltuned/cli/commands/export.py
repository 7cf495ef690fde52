"""Export a finished run: to one file that needs no torch, or to an ordinary checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from welltuned.cli import options


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, comparison (its winner) or search (its choice).")
    ],
    to: Annotated[
        str,
        typer.Option(
            help="onnx: one file that runs without torch; transformers: a checkpoint that plain Transformers opens."
        ),
    ] = "onnx",
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="For onnx: a quarter of the size, with weights rounded to 8 bits; says what that costs in accuracy.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "--output-dir", help="Folder to make; else onnx, onnx-int8 or transformers in the run's folder."
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Export a finished run, to use its model elsewhere.

    As onnx it becomes one file that answers without torch, with an example.py that shows how. As transformers it
    becomes an ordinary checkpoint, with what was trained folded into the weights.

    Before an onnx export is written, it answers the run's dev rows, and must answer as the run's own model does.
    """
    from json import dumps

    from welltuned.cli.console import show, stderr, stdout
    from welltuned.errors import UsageError
    from welltuned.exporting import export_onnx, export_stock
    from welltuned.report import format

    if to not in ("onnx", "transformers"):
        raise UsageError(
            f"{to!r} is nothing to export to",
            where="--to",
            why="there are two forms: onnx and transformers",
            mend="choose onnx or transformers",
        )
    if to == "transformers":
        if int8:
            raise UsageError(
                "--int8 is for onnx",
                where="--int8",
                why="a stock checkpoint holds the weights as they were trained",
                mend="leave it out, or export --to onnx",
            )
        folder = export_stock(run, out)
        if json:
            print(dumps({"folder": str(folder)}))
        else:
            stdout.print(f"{folder}: opens with plain Transformers", markup=False, soft_wrap=True)
        return
    stderr.print("tracing the model; this takes a moment", markup=False)
    folder, record = export_onnx(run, out, int8)
    show(
        record, json,
        f"{folder}: {record.precision}, {format.size(record.bytes)}",
        record.check.sentence,
        f'try it: python {folder / "example.py"} ' + " ".join(['"..."'] * record.columns),
    )  # fmt: skip

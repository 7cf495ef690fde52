"""Export a finished run: one ONNX file that needs no torch, or a merged stock checkpoint."""

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
        str, typer.Option(help="onnx: one file for onnxruntime; transformers: a merged stock checkpoint.")
    ] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="Matrices in int8; the loss of accuracy is measured.")] = False,
    out: options.Out = None,
    json: options.Json = False,
) -> None:
    """Export a finished run: one ONNX file that needs no torch, or a merged stock checkpoint.

    The export is held against the run's own model on the dev rows before it is written; --int8 says what it costs.
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

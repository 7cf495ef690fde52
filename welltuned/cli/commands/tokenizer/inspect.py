"""Say how models read your rows, what that costs, and whether a new tokenizer is worth training."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import groups, options


def command(
    data: options.Data,
    columns: groups.ColumnOptions,
    samples: groups.SampleOptions,
    models: Annotated[
        str, typer.Option("--models", "--model", "-m", help="Comma-separated aliases, Hub ids or folders.")
    ] = "minilm",
    row: Annotated[int, typer.Option(help="The training row to lay out.", min=1)] = 1,
    max_length: options.MaxLength = 256,
    json: options.Json = False,
) -> None:
    """Say how models read your rows, what that costs, and whether a new tokenizer is worth training."""
    from welltuned.cli import console, requests
    from welltuned.data import load_dataset
    from welltuned.pretrained import tokenizer_of
    from welltuned.report import tokenizers
    from welltuned.tokenizing import inspect

    names = requests.names(models, "--models")
    dataset = load_dataset(groups.data_spec(data, columns, samples))
    found = {name: tokenizer_of(name, max_length) for name in names}
    record = inspect(dataset, found, row, max_length, requests.command_line())
    tables = tokenizers.fit_table(record), tokenizers.broken_table(record), tokenizers.cut_table(record)
    spaced = [part for table in tables for part in (table, "")]
    console.show(record, json, *tokenizers.layouts(record), *spaced, record.advice)

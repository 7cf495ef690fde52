"""Count what each method trains of well-known models, part by part; nothing is downloaded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from welltuned.cli import options


def command(
    shape: Annotated[
        str, typer.Option(help="The models, with commas, such as bert-base,roberta-large; or all.")
    ] = "bert-base",
    methods: Annotated[
        str, typer.Option(help="The methods, with commas: NAME[:FIELD=VALUE]..., such as lora:rank=16; else all.")
    ] = "",
    classes: Annotated[int, typer.Option(help="How many classes the problem has.", min=2)] = 2,
    head: options.Head = "mean",
    json: options.Json = False,
) -> None:
    """Count what each method trains of well-known models, part by part; nothing is downloaded."""
    from json import dumps

    from rich.table import Table

    from welltuned import methods as lookup
    from welltuned import plan
    from welltuned.cli.console import stdout
    from welltuned.shapes import KNOWN_CONFIGS, known_shape

    names = list(KNOWN_CONFIGS) if shape == "all" else shape.split(",")
    rows: list[dict[str, Any]] = []
    for name in names:
        known = known_shape(name.strip()).with_head(head, classes)
        for one in plan.candidates(methods or ",".join(lookup.names()), {}):
            ledger = lookup.build(one.method).ledger(known)
            trained = sum(ledger.values())
            rows.append(
                {"shape": name, "method": one.name, "parts": ledger, "trained": trained, "all": known.parameters}
            )
    if json:
        print(dumps(rows, indent=2))
        return
    table = Table("shape", "method", "parts", box=None)
    table.add_column("trained", justify="right")
    table.add_column("of model", justify="right")
    for row in rows:
        parts = " + ".join(f"{part} {count:,}" for part, count in row["parts"].items())
        table.add_row(row["shape"], row["method"], parts, f"{row['trained']:,}", f"{row['trained'] / row['all']:.3%}")
    stdout.print(table)

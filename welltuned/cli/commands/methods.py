"""List the ways of fine-tuning, with their fields and defaults."""

from __future__ import annotations

from typing import Annotated, Any

import typer


def command(json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False) -> None:
    """List the methods, what each trains, and the fields that NAME:FIELD=VALUE can set."""
    from json import dumps

    from rich.table import Table

    from welltuned import methods
    from welltuned.cli.console import stdout

    found: dict[str, dict[str, Any]] = {}
    for name in methods.names():
        kind = methods.find(name)
        found[name] = {
            "about": (kind.__doc__ or "").strip().splitlines()[0],
            "lr": kind.defaults.lr,
            "epochs": kind.defaults.epochs,
            "fields": methods.config_of(name, {}),
        }
    if json:
        print(dumps(found, indent=2))
        return
    table = Table("method", "about", "lr", "epochs", "fields", box=None)
    for name, method in found.items():
        fields = ", ".join(f"{field}={value}" for field, value in method["fields"].items())
        table.add_row(name, method["about"], f"{method['lr']:g}", str(method["epochs"]), fields)
    stdout.print(table)

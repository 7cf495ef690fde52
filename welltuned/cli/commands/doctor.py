"""Say whether Welltuned can work well on this machine, and how to mend what is amiss."""

from __future__ import annotations

import typer

from welltuned.cli import options

UNUSABLE = 4


def command(json: options.Json = False) -> None:
    """Say whether Welltuned can work well on this machine, and how to mend what is amiss.

    It looks at packages, memory, disk, processor and GPU, and trains nothing. The exit code is 4 if Welltuned cannot
    work here at all, else 0.
    """
    from rich.text import Text

    from welltuned.cli.console import show, stdout
    from welltuned.doctor import examine

    colours = {"ok": "green", "warning": "yellow", "problem": "red"}
    found = examine()
    show(found, json)
    if not json:
        for one in found.findings:
            stdout.print(Text.assemble((one.level, colours[one.level]), f": {one.what}"), soft_wrap=True)
            if one.mend:
                stdout.print(Text(f"    to mend it: {one.mend}"), soft_wrap=True)
        stdout.print(Text(found.verdict), soft_wrap=True)
    if not found.usable:
        raise typer.Exit(UNUSABLE)

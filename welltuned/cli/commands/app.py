"""Open a page in the browser to look at results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[
        Path,
        typer.Argument(metavar="RUNS", help="Folder of a comparison, run or search, finished or not; or of several."),
    ],
    host: Annotated[
        str,
        typer.Option(
            help="Network address of the page. 127.0.0.1 is for this machine alone; any other lets others in."
        ),
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes any that is free.", min=0, max=65535)] = 7860,
) -> None:
    """Open a page in the browser to look at results.

    It shows the comparison, training curves as they grow, what every method answers to a question of yours and which
    words decided it, and experiments on attention. Open the address that is printed; Ctrl-C ends it.

    Nothing leaves this machine. It needs pip install 'welltuned[app]', and to weigh words 'welltuned[explain]'.
    """
    from welltuned.app.serving import LOOPBACK, serve
    from welltuned.cli.console import stderr, stdout

    def ready(address: str) -> None:
        if host not in LOOPBACK:
            stderr.print("whoever reaches this address can read these results and ask these models", soft_wrap=True)
        stdout.print(f"{address}  (Ctrl-C ends it)", soft_wrap=True, markup=False)

    serve(runs, host, port, ready)

"""Open a page to look at runs with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[
        Path,
        typer.Argument(metavar="RUNS", help="Folder of a comparison, run or search, finished or not; or of several."),
    ],
    host: Annotated[str, typer.Option(help="Address to serve on; another than this machine's own lets others in.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="0 for any that is free.", min=0, max=65535)] = 7860,
) -> None:
    """Open a page: the comparison, curves as they grow, questions to every method, the attention laboratory.

    The page is for this machine alone and asks nothing of any other. It needs the extra app, and to weigh words the
    extra explain.
    """
    from welltuned.app.serving import LOOPBACK, serve
    from welltuned.cli.console import stderr, stdout

    def ready(address: str) -> None:
        if host not in LOOPBACK:
            stderr.print("whoever reaches this address can read these results and ask these models", soft_wrap=True)
        stdout.print(f"{address}  (Ctrl-C ends it)", soft_wrap=True, markup=False)

    serve(runs, host, port, ready)

"""Answer over HTTP with finished runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from welltuned.serving.limits import Limits


@dataclass(frozen=True)
class LimitOptions:
    """What the server takes at most; beyond, it refuses and says why."""

    max_body: Annotated[int, typer.Option(help="Largest request, in bytes.", min=1024)] = Limits.body
    max_items: Annotated[int, typer.Option(help="Most rows in one request.", min=1)] = Limits.items
    max_characters: Annotated[int, typer.Option(help="Longest text, in characters.", min=1)] = Limits.characters
    max_seconds: Annotated[float, typer.Option(help="Seconds until a request must be answered.", min=0.01)] = (
        Limits.seconds
    )
    max_queue: Annotated[int, typer.Option(help="Most rows that may wait at once.", min=1)] = Limits.queue
    max_requests: Annotated[int, typer.Option(help="Most requests that are worked on at once.", min=1)] = (
        Limits.requests
    )
    drain_seconds: Annotated[float, typer.Option(help="Seconds to finish requests when stopped.", min=0)] = Limits.drain
    batch_tokens: Annotated[int, typer.Option(help="Most tokens computed at once.", min=1)] = Limits.tokens
    batch_rows: Annotated[int, typer.Option(help="Most rows computed at once.", min=1)] = Limits.rows

    def limits(self) -> Limits:
        """The same, as the server knows them."""
        return Limits(
            body=self.max_body,
            items=min(self.max_items, self.max_queue),
            characters=self.max_characters,
            seconds=self.max_seconds,
            queue=self.max_queue,
            requests=self.max_requests,
            drain=self.drain_seconds,
            tokens=self.batch_tokens,
            rows=self.batch_rows,
        )


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN...",
            help="Folders of runs, comparisons (the winner answers) or searches (the choice answers). A "
            "request may say "
            "which by NAME; else the first answers.",
        ),
    ],
    host: Annotated[
        str,
        typer.Option(help="Network address to listen at. 127.0.0.1 is for this machine alone; any other needs a key."),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes any that is free.", min=0, max=65535)] = 8000,
    threads: Annotated[int | None, typer.Option(help="How many processor cores may compute; else all.", min=1)] = None,
    *,
    limits: LimitOptions,
    json: Annotated[
        bool, typer.Option("--json", help="Print address and models as one line of JSON, for programs.")
    ] = False,
) -> None:
    """Answer over HTTP with finished runs, until told to stop.

    Other programs then ask by sending JSON to /predict. /models lists what answers, /health and /ready say how the
    server is, /metrics counts for Prometheus, and /openapi.json describes all of it.

    To let other machines ask, set WELLTUNED_API_KEY to a secret of 16 characters or more, which clients must send
    as a header (Authorization: Bearer KEY), and give --host. Models of one encoder share its memory.

    Beyond the limits below a request is refused with a reason. docs/serving.md shows requests and answers.
    """
    import os
    from importlib.util import find_spec
    from json import dumps

    from welltuned.cli.console import stdout
    from welltuned.errors import UsageError

    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client") if not find_spec(name)]:
        raise UsageError(
            "serving needs packages that are not here",
            where="welltuned serve",
            why=f"missing: {', '.join(missing)}",
            mend="pip install 'welltuned[serve]'",
        )
    cores = os.cpu_count() or 1
    if threads is not None and threads > cores:
        raise UsageError(
            f"{threads:,} threads are more than this machine has cores",
            where="--threads",
            why=f"it has {cores}, and further threads only wait for one another",
            mend=f"give {cores} or less, or leave it out",
        )
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

    import torch

    from welltuned.engine.allocator import keep_memory
    from welltuned.serving import gate, models, server
    from welltuned.serving.application import Service

    key = gate.key_for(host)
    with server.bound(host, port) as at:
        found = models.opened(runs)
        keep_memory()
        if threads is not None:
            torch.set_num_threads(threads)
        service = Service(found, limits.limits(), key)
        service.start()

        def started() -> None:
            if json:
                print(dumps({"address": server.address(at), "models": found.names}, ensure_ascii=False), flush=True)
                return
            told = "model" if len(found.names) == 1 else "models"
            stdout.print(
                f"answering at {server.address(at)}/predict with the {told} {', '.join(found.names)}; Ctrl-C stops",
                markup=False,
                soft_wrap=True,
            )

        server.run(service, at, started)

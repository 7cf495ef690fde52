"""Upload a finished run's model to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from welltuned.cli import options

HEAD = 40
"""Lines of the card that are shown."""


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, comparison (its winner) or search (its choice).")
    ],
    repo_id: Annotated[
        str, typer.Argument(metavar="REPO_ID", help="Where it goes on the Hub: OWNER/NAME, such as your-name/my-model.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="If the repository is new, let nobody else see it.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Really upload; without it only what would go is shown.")] = False,
    json: options.Json = False,
) -> None:
    """Upload a finished run's model to the Hugging Face Hub; without --yes only show what would go.

    With the model go its card (a page that says how it was made and how good it is) and, for LoRA, its adapter.

    Log in before with hf auth login, or set HF_TOKEN; the token is neither shown nor stored.
    """
    from json import dumps

    from huggingface_hub import HfApi

    from welltuned.cli.console import stderr, stdout
    from welltuned.errors import UsageError
    from welltuned.predicting import is_export, run_folder
    from welltuned.pushing import pack, push
    from welltuned.report import format

    folder = run_folder(run)
    if is_export(folder):
        raise UsageError(
            "this is an export, not a run",
            where=str(run),
            why="what goes to the Hub is the model that a run trained, with its card",
            mend="name the run that it was made of",
        )
    parcel = pack(folder, repo_id)
    for warning in parcel.warnings:
        stderr.print(f"warning: {warning}", markup=False)
    url = push(parcel, HfApi(), private) if yes else None
    if json:
        told = {"repository": repo_id, "private": private, "run": parcel.run, "files": parcel.sizes, "url": url}
        print(dumps({**told, "card": parcel.card}, indent=2, ensure_ascii=False))
        return
    if url is not None:
        stdout.print(f"uploaded {parcel.run} to {url}", markup=False, soft_wrap=True)
        return
    lines = [f"{parcel.run} would go to {'a private ' if private else ''}{repo_id}:"]
    lines += [f"  {name}, {format.size(size)}" for name, size in parcel.sizes.items()]
    lines += [f"  together {format.size(sum(parcel.sizes.values()))}", "", "its card begins:", ""]
    lines += [f"    {line}" for line in parcel.card.splitlines()[:HEAD]]
    lines += ["", "nothing was uploaded; add --yes to upload it"]
    stdout.print("\n".join(lines), markup=False, soft_wrap=True)

"""Show what an attention head can do, step by step, with numbers of yours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from welltuned.cli import options

if TYPE_CHECKING:
    from welltuned.attention.experiments._base import Experiment, Finding

# Each experiment brings flags of its own, so those that are not known here are left to it, and so is its help.
SETTINGS = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}


def command(
    context: typer.Context,
    experiment: Annotated[str | None, typer.Argument(help="Name of an experiment, or all; none lists them.")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--input", metavar="FILE", help="JSON file with the numbers; a flag overrides its field."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "--output-dir", help="Folder for results.json and figures; else neither.")
    ] = None,
    json: options.Json = False,
    asked: Annotated[bool, typer.Option("--help", "-h", help="Show this, and what EXPERIMENT takes.")] = False,
) -> None:
    """Show what an attention head can do: copy, average, extract, learn; and the heads of a real encoder.

    Each experiment takes numbers of its own: welltuned attention EXPERIMENT --help lists them.
    """
    from json import dumps

    from welltuned.attention import experiments
    from welltuned.errors import UsageError

    if experiment is not None and experiment.startswith("-"):
        raise UsageError(f"{experiment!r} stands before the experiment", mend="write the name of the experiment first")
    if asked:
        print(context.get_help() if experiment in (None, "all") else _flags(experiment))
        return
    if experiment is None:
        print(_listing())
        return
    if experiment == "all" and (context.args or source):
        raise UsageError(
            "all takes the defaults alone", where="EXPERIMENT", mend="name one experiment to give it numbers"
        )
    from welltuned.cli.console import stdout

    names = experiments.names() if experiment == "all" else (experiment,)
    made = {name: _made(name, context.args, source) for name in names}
    document = _found(made, str(source) if source else None, out, None if json else stdout)
    if json:
        print(dumps(document, indent=2, ensure_ascii=False))


def _made(name: str, flags: list[str], source: Path | None) -> Experiment:
    from welltuned.attention import experiments, numbers
    from welltuned.attention.experiments import _base

    kind = experiments.find(name)
    given = {**(numbers.from_file(source) if source else {}), **numbers.from_flags(kind, flags)}
    return _base.made(kind, given)


def _found(made: dict[str, Experiment], source: str | None, out: Path | None, printer: Any) -> dict[str, Any]:
    """Run the experiments one by one, print each as it is done, and write what ``--out`` asks for."""
    from welltuned.attention.experiments import _base
    from welltuned.cli import requests
    from welltuned.record import installed_versions, write_json

    folder = None if out is None else requests.folder(out, "attention", "", "")
    document: dict[str, Any] = {
        "command": requests.command_line(),
        "versions": installed_versions(),
        "experiments": {},
    }
    for name, experiment in made.items():
        finding = _base.found(experiment, _encoder, source or name)
        drawn = [] if folder is None else _drawn(finding, folder)
        document["experiments"][name] = {
            "numbers": experiment.to_dict(),
            "results": finding.results,
            "figures": [path.name for path in drawn],
        }
        if printer is not None:
            title = [f"== {name}: {(type(experiment).__doc__ or '').splitlines()[0]}", ""] if len(made) > 1 else []
            for line in [*title, *finding.lines, *(f"figure: {path}" for path in drawn), *([""] if title else [])]:
                printer.print(line, soft_wrap=True, markup=False, highlight=False)
    if folder is not None:
        write_json(folder / "results.json", document)
    return document


def _drawn(finding: Finding, folder: Path) -> list[Path]:
    from welltuned.attention.drawing import png
    from welltuned.record import write_bytes

    paths = []
    for name, draw in finding.figures.items():
        paths.append(folder / f"{name}.png")
        write_bytes(paths[-1], png(draw()))
    return paths


def _encoder(name: str, max_length: int) -> tuple[Any, Any]:
    from welltuned.cli import requests
    from welltuned.pretrained import pretrained
    from welltuned.spec import ModelSpec

    found = pretrained(requests.spec(ModelSpec, name=name, max_length=max_length))
    return found.backbone(), found.tokenizer


def _listing() -> str:
    from welltuned.attention import experiments

    names = experiments.names()
    width = max(map(len, names))
    about = {name: (experiments.find(name).__doc__ or "").splitlines()[0] for name in names}
    listed = "\n".join(f"  {name:{width}}  {line}" for name, line in about.items())
    return f"Experiments:\n{listed}\n\nwelltuned attention EXPERIMENT runs one, and --help after it lists its numbers."


def _flags(name: str) -> str:
    from dataclasses import fields

    from welltuned.attention import experiments, numbers

    kind = experiments.find(name)
    entries = numbers.entries(kind)
    lines = [(kind.__doc__ or "").splitlines()[0], "", "Its numbers, as flags or as fields of --input:"]
    for field in fields(kind):
        entry = entries[field.name]
        default = "" if field.default in (None, False) else f"; else {numbers.written(field.default)}"
        lines.append(f"  --{field.name.replace('_', '-')} {entry.form}".rstrip())
        lines.append(f"      {entry.about}{default}")
    lines += ["", "What all experiments take: welltuned attention --help"]
    return "\n".join(lines)

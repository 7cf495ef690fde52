"""Train one method on one problem, or overfit a few rows to see that training works at all."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import groups, options


def command(
    data: options.Data,
    training: groups.TrainOptions,
    encoder: groups.EncoderOptions,
    columns: groups.ColumnOptions,
    samples: groups.SampleOptions,
    compute: groups.ComputeOptions,
    keeping: groups.SaveOptions,
    method: Annotated[
        str,
        typer.Option(
            help="How to fine-tune: NAME[:FIELD=VALUE]..., such as lora:rank=16. welltuned methods lists them."
        ),
    ] = "full",
    model: options.Model = "minilm",
    seed: Annotated[
        int, typer.Option(help="Decides what is random in training: first weights, order of rows, dropout.", min=0)
    ] = 0,
    overfit: Annotated[
        int | None,
        typer.Option(
            help="A check that training works: learn so many rows by heart, and be scored on the same.", min=2
        ),
    ] = None,
    memory_limit: options.MemoryLimit = None,
    cache_limit: options.CacheLimit = "4GiB",
    out: options.Out = None,
    wait: options.Wait = False,
    json: options.Json = False,
) -> None:
    """Train one method on one problem, or overfit a few rows to see that training works at all."""
    from welltuned import plan
    from welltuned.cli import console, requests
    from welltuned.record import read_run
    from welltuned.report import render
    from welltuned.report.terminal import alarm_line, utilisation_lines
    from welltuned.single import train
    from welltuned.workbench import Workbench

    candidate = plan.candidate(method, {**vars(training), "overfit": overfit})
    spec = candidate.run(groups.data_spec(data, columns, samples), encoder.spec(model), seed, compute.spec())
    folder = requests.folder(out, "train", data, spec.id)
    with console.ConsoleObserver() as observer:
        bench = Workbench(observer, wait=wait, saving=keeping.saving(), **requests.limits(memory_limit, cache_limit))
        record = train(spec, folder, bench, requests.command_line())
        page, used = render(folder), utilisation_lines(read_run(folder))
    console.show(record, json, record.verdict, *used, *map(alarm_line, record.alarms), f"report: {page}")

"""Compare methods on one problem: a table, plots, and an answer that can be defended."""

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
    methods: Annotated[
        str,
        typer.Option(
            help="The methods, with commas: NAME[:FIELD=VALUE]..., such as full,prefix:length=32,lora:rank=4. "
            "welltuned methods lists them."
        ),
    ] = "full,head,prefix,lora",
    models: Annotated[
        str,
        typer.Option(
            "--models",
            "--model",
            "-m",
            help="The pretrained encoders, with commas: aliases such as roberta-base, Hub ids or folders; minilm "
            "needs no network.",
        ),
    ] = "minilm",
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds",
            "--seed",
            help="Train everything with each of these seeds, such as 0,1,2: more seeds tell methods from luck.",
        ),
    ] = "0",
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            "--n-trials",
            help="Before, choose the hyperparameters of each method by so many trials on dev; the same for all.",
            min=1,
        ),
    ] = None,
    max_seconds: options.MaxSeconds = None,
    grid: options.Grid = None,
    range: options.Range = None,
    sampler: options.Sampler = None,
    pruner: options.Pruner = None,
    memory_limit: options.MemoryLimit = None,
    cache_limit: options.CacheLimit = "4GiB",
    margin: options.Margin = 1.0,
    out: options.Out = None,
    wait: options.Wait = False,
    json: options.Json = False,
) -> None:
    """Compare methods on one problem: a table, plots, and an answer that can be defended.

    With --trials, --max-seconds, --grid or --range each line's hyperparameters are chosen on dev first, all within the
    same budget. --models and --head take lists: every method runs on each model under each head. Finished runs are
    read, not trained again.
    """
    from welltuned import plan
    from welltuned.cli import console, requests
    from welltuned.comparing import Comparison, Tuning, compare
    from welltuned.report import render
    from welltuned.report.terminal import told
    from welltuned.workbench import Workbench

    tuning = Tuning(tuple(grid or ()), tuple(range or ()), sampler, trials, max_seconds, pruner)
    comparison = Comparison(
        data=groups.data_spec(data, columns, samples),
        candidates=plan.candidates(methods, vars(training)),
        models=encoder.specs(models),
        seeds=requests.seeds(seeds),
        compute=compute.spec(),
        margin=margin / 100,
        tuning=tuning if tuning != Tuning() else None,
    )
    folder = requests.folder(out, "compare", data, comparison.id)
    with console.ConsoleObserver() as observer:
        bench = Workbench(observer, wait=wait, saving=keeping.saving(), **requests.limits(memory_limit, cache_limit))
        record = compare(comparison, folder, bench, requests.command_line())
        observer.say("drawing the report")
        report = render(folder)
        for name in (name for row in record.table for name in row.runs):
            render(folder / "runs" / name)
    console.show(record, json, "", *told(record), f"report: {report}")

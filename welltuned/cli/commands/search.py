"""Choose hyperparameters on dev, then score the chosen ones on test, once."""

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
            help="The method, with what all trials have in common: NAME[:FIELD=VALUE]..., such as lora:rank=16."
        ),
    ] = "full",
    model: options.Model = "minilm",
    grid: options.Grid = None,
    range: options.Range = None,
    sampler: options.Sampler = None,
    pruner: options.Pruner = None,
    trials: Annotated[
        int | None, typer.Option("--trials", "--n-trials", help="How many trials random or tpe make; else 12.", min=1)
    ] = None,
    max_seconds: options.MaxSeconds = None,
    sampler_seed: Annotated[int, typer.Option(help="Decides what random and tpe try.", min=0)] = 0,
    seeds: Annotated[
        str,
        typer.Option(
            "--seeds", "--seed", help="Train every trial with each of these seeds, such as 0,1,2, and take the mean."
        ),
    ] = "0",
    memory_limit: options.MemoryLimit = None,
    cache_limit: options.CacheLimit = "4GiB",
    out: options.Out = None,
    wait: options.Wait = False,
    json: options.Json = False,
) -> None:
    """Choose hyperparameters on dev, then score the chosen ones on test, once.

    Without --grid and --range the method's own space is searched. Finished trials are read, not trained again.
    """
    from welltuned import plan as plans
    from welltuned.cli import console, requests
    from welltuned.report import render
    from welltuned.report.terminal import told
    from welltuned.search import Search, search, space
    from welltuned.workbench import Workbench

    plan = Search(
        data=groups.data_spec(data, columns, samples),
        model=encoder.spec(model),
        base=plans.candidate(method, vars(training)),
        space=space(method.partition(":")[0].strip(), grid or [], range or []),
        sampler=sampler,
        trials=trials,
        seconds=max_seconds,
        sampler_seed=sampler_seed,
        seeds=requests.seeds(seeds),
        compute=compute.spec(),
        pruner=pruner,
    )
    folder = requests.folder(out, "search", data, plan.id)
    with console.ConsoleObserver() as observer:
        bench = Workbench(observer, wait=wait, saving=keeping.saving(), **requests.limits(memory_limit, cache_limit))
        record = search(plan, folder, bench, requests.command_line())
        page = render(folder)
    console.show(record, json, "", *told(record), f"report: {page}")

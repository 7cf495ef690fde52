"""Find the largest batch that fits, by prediction and then by real steps."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import groups, options


def command(
    data: options.Data,
    encoder: groups.EncoderOptions,
    columns: groups.ColumnOptions,
    compute: groups.ComputeOptions,
    methods: Annotated[
        str, typer.Option("--methods", "--method", help="Comma-separated NAME[:FIELD=VALUE]..., such as full,lora.")
    ] = "full",
    model: options.Model = "minilm",
    memory_limit: options.MemoryLimit = None,
    headroom: Annotated[float, typer.Option(help="Share of the limit to leave free.", min=0, max=0.9)] = 0.05,
    out: options.Out = None,
    json: options.Json = False,
) -> None:
    """Find the largest batch that fits, by prediction and then by real steps.

    Rows as long as the longest of the data, all at once; training and evaluation apart; each trial in a process of its
    own. On a CPU, training takes larger batches in pieces, and so needs less.
    """
    from welltuned import plan
    from welltuned.capacity import Limit, capacity
    from welltuned.cli import console, requests
    from welltuned.engine import resolve
    from welltuned.report import render
    from welltuned.report.terminal import told
    from welltuned.workbench import Workbench

    source, spec, arithmetic = groups.data_spec(data, columns), encoder.spec(model), compute.spec()
    plans = [(one, one.run(source, spec, 0, arithmetic)) for one in plan.candidates(methods, {})]
    limit = Limit.of(requests.size(memory_limit), headroom, resolve(arithmetic))
    folder = requests.folder(out, "max-batch", data, " ".join([*(run.id for _, run in plans), str(memory_limit)]))
    with console.ConsoleObserver() as observer:
        record = capacity(plans, folder, Workbench(observer), requests.command_line(), limit)
        figure = render(folder)
    console.show(record, json, "", *told(record), "", f"figure: {figure}")

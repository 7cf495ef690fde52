"""Say what each method's training step takes in memory, predicted and measured."""

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
        str,
        typer.Option(
            help="The methods, with commas: NAME[:FIELD=VALUE]..., such as full,prefix:length=32,lora:rank=4."
        ),
    ] = "full,head,prefix,lora",
    model: options.Model = "minilm",
    batch_size: options.BatchSize = 32,
    measure: Annotated[bool, typer.Option(help="Also run the step and measure it; --no-measure only predicts.")] = True,
    out: options.Out = None,
    json: options.Json = False,
) -> None:
    """Say what each method's training step takes in memory, predicted and measured.

    Weights, gradients, optimizer state, activations, and the peaks in forward, backward and step, on the longest rows.
    """
    from welltuned import plan
    from welltuned.cli import console, requests
    from welltuned.profiling import profile
    from welltuned.report import render
    from welltuned.report.terminal import told
    from welltuned.workbench import Workbench

    source, spec, arithmetic = groups.data_spec(data, columns), encoder.spec(model), compute.spec()
    candidates = plan.candidates(methods, {"batch_size": batch_size})
    plans = [(one, one.run(source, spec, 0, arithmetic)) for one in candidates]
    folder = requests.folder(out, "memory", data, " ".join(run.id for _, run in plans))
    with console.ConsoleObserver() as observer:
        record = profile(plans, folder, Workbench(observer), requests.command_line(), measure=measure)
        figure = render(folder)
    console.show(record, json, "", *told(record), f"figure: {figure}")

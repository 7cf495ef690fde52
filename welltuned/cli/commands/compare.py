"""Compare methods on one problem: a table, plots, and an answer that can be defended."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import options


def command(
    data: options.Data,
    methods: Annotated[
        str, typer.Option(help="Comma-separated NAME[:FIELD=VALUE]..., such as full,prefix:length=32,lora:rank=4.")
    ] = "full,head,prefix,lora",
    models: Annotated[
        str, typer.Option("--models", "--model", "-m", help="Comma-separated aliases, Hub ids or folders.")
    ] = "minilm",
    seeds: Annotated[str, typer.Option("--seeds", "--seed", help="Replicates, such as 0,1,2.")] = "0",
    lr: options.LearningRate = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = 32,
    eval_batch_size: options.EvalBatchSize = 64,
    weight_decay: options.WeightDecay = 0.01,
    warmup_ratio: options.WarmupRatio = 0.06,
    schedule: options.Schedule = "linear",
    patience: options.Patience = None,
    head: options.Head = "mean",
    max_length: options.MaxLength = 256,
    text: options.Text = None,
    text_pair: options.TextPair = None,
    label: options.Label = None,
    split: options.Split = "given",
    split_seed: options.SplitSeed = 0,
    max_train_samples: options.MaxTrain = None,
    max_eval_samples: options.MaxEval = None,
    max_predict_samples: options.MaxPredict = None,
    precision: options.Precision = "auto",
    engine: options.Engine = "fast",
    device: options.Device = "auto",
    out: options.Out = None,
    json: options.Json = False,
) -> None:
    """Compare methods on one problem: a table, plots, and an answer that can be defended.

    Runs that are finished in the folder of results are read, not trained again.
    """
    from welltuned import plan
    from welltuned.cli import console, requests
    from welltuned.compare import Comparison, compare
    from welltuned.engine import settle
    from welltuned.report import render
    from welltuned.report.terminal import comparison_table
    from welltuned.run import Workbench
    from welltuned.spec import ComputeSpec, DataSpec, ModelSpec

    training = {
        "lr": lr, "epochs": epochs, "batch_size": batch_size, "eval_batch_size": eval_batch_size,
        "weight_decay": weight_decay, "warmup_ratio": warmup_ratio, "schedule": schedule, "patience": patience,
    }  # fmt: skip
    comparison = Comparison(
        data=requests.spec(
            DataSpec, source=data, text=text, text_pair=text_pair, label=label, split=split, split_seed=split_seed,
            max_train_samples=max_train_samples, max_eval_samples=max_eval_samples,
            max_predict_samples=max_predict_samples,
        ),
        candidates=plan.candidates(methods, training),
        models=[
            requests.spec(ModelSpec, name=name.strip(), head=head, max_length=max_length)
            for name in models.split(",")
        ],
        seeds=requests.seeds(seeds),
        compute=settle(requests.spec(ComputeSpec, device=device, precision=precision, engine=engine)),
    )  # fmt: skip
    folder = requests.folder(out, "compare", data, comparison.id)
    with console.ConsoleObserver() as observer:
        record = compare(comparison, folder, Workbench(observer), requests.command_line())
        observer.say("drawing the report")
        report = render(folder)
        for name in (name for row in record.table for name in row.runs):
            render(folder / "runs" / name)
    console.show(record, json, "", comparison_table(record), "", record.verdict, f"report: {report}")

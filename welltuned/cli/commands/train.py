"""Train one method on one problem, or overfit a few rows to see that training works at all."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import options


def command(
    data: options.Data,
    method: Annotated[str, typer.Option(help="NAME[:FIELD=VALUE]..., such as lora:rank=16.")] = "full",
    model: options.Model = "minilm",
    lr: options.LearningRate = None,
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option(help="Decides initialisation, order and dropout.", min=0)] = 0,
    overfit: Annotated[int | None, typer.Option(help="Train and evaluate on the same so many rows.", min=2)] = None,
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
    """Train one method on one problem, or overfit a few rows to see that training works at all."""
    from welltuned import plan
    from welltuned.cli import console, requests
    from welltuned.engine import settle
    from welltuned.report import render
    from welltuned.run import Workbench
    from welltuned.single import train
    from welltuned.spec import ComputeSpec, DataSpec, ModelSpec

    candidate = plan.candidate(method, {
        "lr": lr, "epochs": epochs, "batch_size": batch_size, "eval_batch_size": eval_batch_size,
        "weight_decay": weight_decay, "warmup_ratio": warmup_ratio, "schedule": schedule, "patience": patience,
        "overfit": overfit,
    })  # fmt: skip
    spec = candidate.run(
        requests.spec(
            DataSpec, source=data, text=text, text_pair=text_pair, label=label, split=split, split_seed=split_seed,
            max_train_samples=max_train_samples, max_eval_samples=max_eval_samples,
            max_predict_samples=max_predict_samples,
        ),
        requests.spec(ModelSpec, name=model, head=head, max_length=max_length),
        seed,
        settle(requests.spec(ComputeSpec, device=device, precision=precision, engine=engine)),
    )  # fmt: skip
    folder = requests.folder(out, "train", data, spec.id)
    with console.ConsoleObserver() as observer:
        record = train(spec, folder, Workbench(observer), requests.command_line())
        page = render(folder)
    console.show(record, json, record.verdict, *(f"alarm: {alarm.what}" for alarm in record.alarms), f"report: {page}")

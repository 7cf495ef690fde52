"""Pretrain an encoder on text, from scratch or from an existing one."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import groups, options


def command(
    source: options.TextSource,
    columns: groups.ColumnOptions,
    optimizer: groups.OptimizerOptions,
    compute: groups.ComputeOptions,
    keeping: groups.SaveOptions,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Go on with this encoder; else one is begun from --shape.")
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(
            help="The new encoder: FAMILY[:FIELD=VALUE]..., such as bert:layers=2:hidden=128:heads=2 (the default)."
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Take the tokenizer of this folder or model; else the model's own, or a new one for a shape."
        ),
    ] = None,
    vocab_size: Annotated[int, typer.Option(help="How many words and pieces a new tokenizer knows.", min=10)] = 8000,
    steps: Annotated[
        int, typer.Option("--steps", "--max-steps", help="How many training steps in all; 0 only evaluates.", min=0)
    ] = 1000,
    head_steps: Annotated[
        int,
        typer.Option(
            help="For so many steps at first train only the layer that predicts tokens; wise where it is new.", min=0
        ),
    ] = 0,
    batch_size: options.BatchSize = 32,
    max_length: options.MaxLength = 128,
    mask_rate: Annotated[
        float,
        typer.Option(
            "--mask-rate",
            "--mlm-probability",
            help="Which share of the tokens is hidden and to be predicted.",
            min=0,
            max=1,
        ),
    ] = 0.15,
    whole_words: Annotated[bool, typer.Option("--whole-words", help="Hide whole words instead of tokens.")] = False,
    held_out: Annotated[
        float, typer.Option(help="Which share of the lines is kept apart to evaluate on.", min=0, max=1)
    ] = 0.05,
    eval_every: Annotated[
        int | None, typer.Option(help="Evaluate every so many steps; else ten times in all.", min=1)
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            help="Decides what is random: first weights, order of rows, which tokens are hidden, dropout.", min=0
        ),
    ] = 0,
    show: Annotated[
        bool, typer.Option("--show", help="Train nothing: only show what would be hidden of one row.")
    ] = False,
    out: options.Out = None,
    wait: options.Wait = False,
    json: options.Json = False,
) -> None:
    """Pretrain an encoder on text by predicting hidden tokens, from scratch or from an existing one.

    The same command goes on where an interrupted one stopped. RESULTS/model goes into --model of every command.
    """
    from welltuned import plan
    from welltuned.cli import console, requests
    from welltuned.errors import UsageError
    from welltuned.pretraining import pretrain, preview
    from welltuned.record import alone
    from welltuned.report import pretraining as report
    from welltuned.spec import PretrainSpec

    if model is not None and shape is not None:
        raise UsageError("--model and --shape cannot go together", where="--shape")
    spec = requests.spec(
        PretrainSpec,
        **{**vars(optimizer), "lr": optimizer.lr or (5e-4 if model is None else 1e-4)},
        text=groups.data_spec(source, columns),
        model=model,
        shape=plan.shape(shape or "bert") if model is None else None,
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        max_length=max_length,
        steps=steps,
        head_steps=min(head_steps, steps),
        batch_size=batch_size,
        mask_rate=mask_rate,
        whole_words=whole_words,
        held_out=held_out,
        eval_every=eval_every or max(1, steps // 10),
        seed=seed,
        compute=compute.spec(),
    )
    folder = requests.folder(out, "pretrain", source, spec.id)
    if show:
        with console.ConsoleObserver() as observer, alone(folder, wait, observer.say):
            row = preview(spec, folder, observer)
        console.show_all(row, json, report.masked_table(row))
        return
    with console.ConsoleObserver() as observer, alone(folder, wait, observer.say):
        record = pretrain(spec, folder, observer, requests.command_line(), keeping.saving())
    saved = [f"figure: {report.draw(folder, record)}", f"model: {folder / 'model'}"] if steps else []
    console.show(record, json, report.curve_table(record), "", record.verdict, *saved)

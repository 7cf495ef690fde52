"""Options that several commands share, with their help and Hugging Face's names where it has one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Argument(metavar="DATA", help="builtin:yesno, a Hub id, a file, or a folder of train/dev/test files."),
]
TextSource = Annotated[
    str,
    typer.Argument(metavar="TEXT", help="A .txt file, a folder of them, or data as elsewhere (its train split)."),
]
Model = Annotated[
    str, typer.Option("--model", "-m", "--model-name-or-path", help="Alias, Hub id or folder; minilm is packaged.")
]
Head = Annotated[
    str, typer.Option(help="mean or first: linear over the masked mean or the first token; native: the model's own.")
]
MaxLength = Annotated[int, typer.Option("--max-length", "--max-seq-length", help="Tokens a row at most.", min=8)]
Text = Annotated[str | None, typer.Option(help="Column of the first text (question).")]
TextPair = Annotated[str | None, typer.Option(help="Column of the second text (passage); '' for none.")]
Label = Annotated[str | None, typer.Option(help="Column of the label.")]
Split = Annotated[
    str, typer.Option(help="given: keep supplied splits; grouped: cut anew, no passage or near one in two.")
]
SplitSeed = Annotated[int, typer.Option(help="Decides every cut.", min=0)]
MaxTrain = Annotated[int | None, typer.Option("--max-train-samples", help="Keep so many train rows.", min=1)]
MaxEval = Annotated[int | None, typer.Option("--max-eval-samples", help="Keep so many dev rows.", min=1)]
MaxPredict = Annotated[int | None, typer.Option("--max-predict-samples", help="Keep so many test rows.", min=1)]
LearningRate = Annotated[float | None, typer.Option("--lr", "--learning-rate", help="Else the method's own.")]
Epochs = Annotated[int | None, typer.Option("--epochs", "--num-train-epochs", help="Else the method's own.", min=1)]
BatchSize = Annotated[int, typer.Option("--batch-size", "--per-device-train-batch-size", help="Rows a step.", min=1)]
EvalBatchSize = Annotated[
    int, typer.Option("--eval-batch-size", "--per-device-eval-batch-size", help="Rows a forward pass.", min=1)
]
WeightDecay = Annotated[float, typer.Option(help="Decoupled decay on matrices.", min=0)]
WarmupRatio = Annotated[float, typer.Option(help="Share of steps with rising rate.", min=0, max=1)]
WarmupSteps = Annotated[int | None, typer.Option(help="Steps with rising rate; else by their share.", min=0)]
Schedule = Annotated[str, typer.Option("--schedule", "--lr-scheduler-type", help="linear, constant, cosine or wsd.")]
Patience = Annotated[
    int | None,
    typer.Option("--patience", "--early-stopping-patience", help="Stop after so many epochs no better.", min=1),
]
Grid = Annotated[
    list[str] | None,
    typer.Option(help="Values of one hyperparameter, such as lr=1e-4,5e-4; repeatable.", metavar="FIELD=A,B"),
]
Range = Annotated[
    list[str] | None,
    typer.Option(
        help="Bounds of one, such as lr=1e-5..1e-3; from a factor of 10 on, on a logarithmic scale.",
        metavar="FIELD=LOW..HIGH",
    ),
]
Sampler = Annotated[str | None, typer.Option(help="grid, random or tpe; else a grid where only lists are given.")]
MaxSeconds = Annotated[float | None, typer.Option(help="Begin no trial once those before it trained so long.", min=0)]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16.")]
Engine = Annotated[str, typer.Option(help="fast, or plain Transformers.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
MemoryLimit = Annotated[
    str | None, typer.Option(help="Such as 4GiB or 800MB; else the memory that is available now.", metavar="SIZE")
]
Pruner = Annotated[
    str | None,
    typer.Option(help="Give up trials that fall behind on dev: median, or halving (Optuna's rules). None without it."),
]
CacheLimit = Annotated[
    str,
    typer.Option(
        help="How much of the disk what never changes below a method's frontier may take, to be computed once for all "
        "runs; 0 for nothing.",
        metavar="SIZE",
    ),
]
SaveSteps = Annotated[int | None, typer.Option(help="Save every so many steps, and at epoch ends.", min=1)]
SaveMinutes = Annotated[float, typer.Option(help="Save after so many minutes without a save.", min=0.001)]
SaveTotalLimit = Annotated[int, typer.Option(help="Checkpoints kept of a run under way.", min=1)]
OnDivergence = Annotated[
    str, typer.Option(help="stop, or rollback: back to the last checkpoint and on at half the rate, three times.")
]
Margin = Annotated[
    float, typer.Option(help="Points of accuracy under which a difference does not matter.", min=0.01, max=50)
]
Out = Annotated[Path | None, typer.Option("--out", "--output-dir", help="Folder of results; else below runs/.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait where another command works in that folder; else leave.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout, all else on stderr.")]

"""Options that several commands share, with their help and Hugging Face's names where it has one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Rows with labels: a csv, tsv, jsonl, json or parquet file, a folder of train/dev/test files, a data set "
        "on the Hugging Face Hub such as google/boolq, or builtin:yesno, which needs no network.",
    ),
]
TextSource = Annotated[
    str,
    typer.Argument(
        metavar="TEXT",
        help="Text to learn from: a .txt file, a folder of them, or rows as other commands take them (their "
        "train split).",
    ),
]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        "--model-name-or-path",
        help="The pretrained encoder: an alias such as roberta-base, a Hub id, or a folder; minilm needs no network.",
    ),
]
Head = Annotated[
    str,
    typer.Option(
        help="What turns the encoder's output into an answer. mean or first: one linear layer over the mean of all "
        "tokens, or over the first; native: the classifier that the model brings along."
    ),
]
MaxLength = Annotated[
    int,
    typer.Option(
        "--max-length", "--max-seq-length", help="How many tokens of a row are read; what is beyond is cut off.", min=8
    ),
]
Text = Annotated[
    str | None,
    typer.Option(help="Name of the column with the text (of a pair: the question); else guessed from common names."),
]
TextPair = Annotated[
    str | None,
    typer.Option(help="Name of the column with the second text of a pair (the passage); '' if there is none."),
]
Label = Annotated[
    str | None, typer.Option(help="Name of the column with the label to learn; else guessed from common names.")
]
Split = Annotated[
    str,
    typer.Option(
        help="How rows are divided into train, dev and test. given: as supplied, and what is missing is cut; "
        "grouped: cut "
        "anew, so that no passage (or nearly the same one) is in two."
    ),
]
SplitSeed = Annotated[
    int, typer.Option(help="Which rows fall into which split, where they are cut; equal seeds cut alike.", min=0)
]
MaxTrain = Annotated[
    int | None, typer.Option("--max-train-samples", help="Use only so many of the rows to train on.", min=1)
]
MaxEval = Annotated[
    int | None, typer.Option("--max-eval-samples", help="Use only so many of the dev rows, by which is chosen.", min=1)
]
MaxPredict = Annotated[
    int | None,
    typer.Option("--max-predict-samples", help="Use only so many of the test rows, by which is judged.", min=1),
]
LearningRate = Annotated[
    float | None,
    typer.Option(
        "--lr", "--learning-rate", help="Learning rate: how far a step moves the weights; else the method's own."
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs", "--num-train-epochs", help="How often all rows are trained on; else the method's own.", min=1
    ),
]
BatchSize = Annotated[
    int,
    typer.Option("--batch-size", "--per-device-train-batch-size", help="How many rows one training step takes.", min=1),
]
EvalBatchSize = Annotated[
    int,
    typer.Option(
        "--eval-batch-size",
        "--per-device-eval-batch-size",
        help="How many rows are answered at once when nothing is trained; for speed and memory only.",
        min=1,
    ),
]
WeightDecay = Annotated[float, typer.Option(help="How strongly weight matrices are pulled towards 0 (AdamW).", min=0)]
WarmupRatio = Annotated[
    float,
    typer.Option(help="Over which share of all steps the learning rate rises from 0 at the beginning.", min=0, max=1),
]
WarmupSteps = Annotated[
    int | None, typer.Option(help="The same as a number of steps; it goes before --warmup-ratio.", min=0)
]
Schedule = Annotated[
    str,
    typer.Option(
        "--schedule",
        "--lr-scheduler-type",
        help="How the learning rate goes on after that: linear or cosine fall to 0, constant stays, wsd stays "
        "and falls "
        "over the last fifth.",
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(
        "--patience", "--early-stopping-patience", help="Stop early once dev was no better for so many epochs.", min=1
    ),
]
Grid = Annotated[
    list[str] | None,
    typer.Option(help="Try these values of one hyperparameter, such as lr=1e-4,5e-4; repeatable.", metavar="FIELD=A,B"),
]
Range = Annotated[
    list[str] | None,
    typer.Option(
        help="Try values of one hyperparameter between two bounds, such as lr=1e-5..1e-3; repeatable. Bounds "
        "that are a "
        "factor of 10 or more apart are searched on a logarithmic scale.",
        metavar="FIELD=LOW..HIGH",
    ),
]
Sampler = Annotated[
    str | None,
    typer.Option(
        help="Which values are tried next: grid tries all, random draws, tpe learns from trials before. "
        "Without it: grid where only lists are given, else tpe (in compare: random)."
    ),
]
MaxSeconds = Annotated[
    float | None, typer.Option(help="Begin no further trial once those before took so many seconds of training.", min=0)
]
Precision = Annotated[
    str,
    typer.Option(
        help="How numbers are computed: fp32 in full, bf16 shorter and often faster, auto as suits the machine."
    ),
]
Engine = Annotated[
    str, typer.Option(help="fast: this package's speed-ups, which change no result; plain: Transformers as it is.")
]
Device = Annotated[
    str, typer.Option(help="Where it is computed: cpu, cuda (an NVIDIA GPU), or auto for the GPU if there is one.")
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(help="How much memory may be used, such as 4GiB or 800MB; else what is free now.", metavar="SIZE"),
]
Pruner = Annotated[
    str | None,
    typer.Option(
        help="Give up trials that fall behind on dev, to save time: median (behind the median trial) or halving (only "
        "the best go on). A grid is then tried in random order, and further seeds only with the best half or quarter. "
        "Without it every trial is finished."
    ),
]
CacheLimit = Annotated[
    str,
    typer.Option(
        help="Disk for a speed-up: what the blocks that a method never changes make of each row is computed once and "
        "kept, up to this size; 0 to keep nothing.",
        metavar="SIZE",
    ),
]
SaveSteps = Annotated[
    int | None,
    typer.Option(
        help="Save a checkpoint every so many steps, besides those at epoch ends; an interrupted run goes on from it.",
        min=1,
    ),
]
SaveMinutes = Annotated[
    float, typer.Option(help="Save a checkpoint whenever so many minutes passed without one.", min=0.001)
]
SaveTotalLimit = Annotated[
    int, typer.Option(help="How many checkpoints are kept while a run goes on; none stays after it.", min=1)
]
OnDivergence = Annotated[
    str,
    typer.Option(
        help="What is done when the loss becomes infinite or no number. stop: the run ends; rollback: it goes "
        "back to the "
        "last checkpoint and on at half the learning rate, up to three times."
    ),
]
Margin = Annotated[
    float,
    typer.Option(
        help="How many points of accuracy are too few to matter: methods that close count as equally good.",
        min=0.01,
        max=50,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "--output-dir", help="Folder for the results; else one below runs/, the same for the same command."
    ),
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait", help="If another command works in that folder, wait until it is done; without this, leave at once."
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the result as one JSON document on stdout, for programs; all else goes to stderr."
    ),
]

"""One run and what can be said of it alone: its scores, and whether it has learned anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from welltuned import methods, stats, vault
from welltuned.errors import UsageError
from welltuned.record import RunRecord, Score, TrainingRecord, read_arrays, write_arrays, write_json
from welltuned.run import run
from welltuned.spec import RunSpec
from welltuned.workbench import Workbench

LEVEL = 0.95


def train(spec: RunSpec, folder: Path, bench: Workbench, command: str) -> TrainingRecord:
    """Do one run, then open the test labels once to score it; a run that overfits a few rows opens nothing.

    Args:
        folder: the run's folder; also gets ``results.json`` and, once opened, ``labels.safetensors``.
        command: what the user typed, for the record.
    """
    if (folder / "runs").is_dir():
        raise UsageError("this folder holds a comparison", where=f"--out {folder}", mend="choose another --out folder")
    record = run(spec, folder, bench)
    dataset = bench.dataset(spec.data)
    arrays = read_arrays(folder / "predictions.safetensors")
    dev, majority = arrays["dev.labels"], 0.0
    if len(dev):
        majority = float(np.bincount(dev).max() / len(dev))
    test = None
    if spec.train.overfit is None:
        labels = vault.open_test(dataset, folder, spec.id, "score of a single run")
        write_arrays(folder / "labels.safetensors", {"test.labels": labels})
        test = _score(arrays["test.logits"].argmax(axis=1) == labels)
    result = TrainingRecord(
        command=command,
        run=record.name,
        data=dataset.name,
        dev=_score(arrays["dev.logits"].argmax(axis=1) == dev),
        test=test,
        majority_dev=majority,
        learned=None if spec.train.overfit is None else record.dev_accuracy == 1.0,
        verdict=_overfitted(record) if test is None else _verdict(record, test, majority),
        test_openings=vault.selections_seen(folder, dataset.hash),
        alarms=record.alarms,
    )
    write_json(folder / "results.json", result)
    return result


def _score(correct: NDArray[np.bool_]) -> Score:
    interval = stats.wilson(int(correct.sum()), len(correct), LEVEL)
    return Score(accuracy=float(correct.mean()), low=interval.lower, high=interval.upper, level=LEVEL)


def _verdict(record: RunRecord, test: Score, majority: float) -> str:
    against = "above" if record.dev_accuracy > majority else "no better than"
    last = record.curve[-1]
    turned = (
        f"; after that peak {100 * record.lost_after_peak:.1f} points of dev were lost by epoch {last.epoch}, while "
        f"train went on to {last.train_accuracy:.1%}"
        if record.lost_after_peak > 0
        else ""
    )
    return (
        f"test accuracy {test.accuracy:.1%} [{test.low:.1%}, {test.high:.1%}]; dev {record.dev_accuracy:.1%} at epoch "
        f"{record.best_epoch} of {len(record.curve)}, {against} the majority class's {majority:.1%}{turned}"
    )


def _overfitted(record: RunRecord) -> str:
    rows = record.rows["dev"]
    right = round(record.dev_accuracy * rows)
    if right == rows:
        first = next(row.epoch for row in record.curve if row.dev_accuracy == 1.0)
        return f"learned: all {rows} rows are right from epoch {first} on, so training works"
    return f"not learned: {right} of {rows} rows are right after {len(record.curve)} epochs; {_cause(record)}"


def _cause(record: RunRecord) -> str:
    """Why a few rows were not learned, as far as the curve tells."""
    losses = [row.train_loss for row in record.curve]
    default = methods.find(record.spec.method.name).defaults.lr
    lr = record.spec.train.lr
    usual = f"this method starts from --lr {default:g}"
    if losses[-1] > 1.2 * min(losses) and losses[-1] > 0.5 * losses[0]:
        return (
            f"the loss jumps from {min(losses):.2f} to {losses[-1]:.2f}: the learning rate {lr:g} is too high; {usual}"
        )
    if losses[-1] < 0.8 * losses[0]:
        return f"the loss is still falling ({losses[0]:.2f} to {losses[-1]:.2f}): more epochs are likely to do it"
    if lr >= default:
        return (
            f"the loss hardly moves at a learning rate of {lr:g}: it is too high, or two of these rows are the same "
            f"text with different labels (welltuned check tells); {usual}"
        )
    return f"the loss hardly moves: the learning rate {lr:g} is too low for so few steps; {usual}"

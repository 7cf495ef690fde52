"""One run and what can be said of it alone: its scores, and whether it has learned anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from welltuned import stats, vault
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
    return (
        f"test accuracy {test.accuracy:.1%} [{test.low:.1%}, {test.high:.1%}]; dev {record.dev_accuracy:.1%} at epoch "
        f"{record.best_epoch} of {len(record.curve)}, {against} the majority class's {majority:.1%}"
    )


def _overfitted(record: RunRecord) -> str:
    rows = record.rows["dev"]
    right = round(record.dev_accuracy * rows)
    if right == rows:
        first = next(row.epoch for row in record.curve if row.dev_accuracy == 1.0)
        return f"learned: all {rows} rows are right from epoch {first} on, so training works"
    falling = record.curve[-1].train_loss < 0.8 * record.curve[0].train_loss
    cause = (
        "the loss is still falling: more epochs are likely to do it"
        if falling
        else "the loss hardly moves: the learning rate is likely too low, or far too high, for this method"
    )
    return f"not learned: {right} of {rows} rows are right after {len(record.curve)} epochs; {cause}"

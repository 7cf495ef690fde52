"""One run and what can be said of it alone: its scores, and whether it has learned anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from welltuned import alarms, baselines, card, vault
from welltuned.alarms import Rows, Standing
from welltuned.data.dataset import Dataset
from welltuned.errors import UsageError
from welltuned.judging import judge_run
from welltuned.record import Alarm, TrainingRecord, read_arrays, write_arrays, write_json
from welltuned.run import run
from welltuned.spec import RunSpec
from welltuned.workbench import Workbench


def train(spec: RunSpec, folder: Path, bench: Workbench, command: str) -> TrainingRecord:
    """Do one run, then open the test labels once to score it; a run that overfits a few rows opens nothing.

    Args:
        folder: the run's folder; also gets ``results.json`` and, once opened, ``labels.safetensors``.
        command: what the user typed, for the record.
    """
    with bench.alone(folder):
        return _trained(spec, folder, bench, command)


def _trained(spec: RunSpec, folder: Path, bench: Workbench, command: str) -> TrainingRecord:
    if (folder / "runs").is_dir():
        raise UsageError("this folder holds a comparison", where=f"--out {folder}", mend="choose another --out folder")
    dataset = bench.dataset(spec.data)
    found = alarms.raised(Rows(dataset)) if spec.train.overfit is None else []
    record = run(spec, folder, bench)
    arrays = read_arrays(folder / "predictions.safetensors")
    labels = None
    if spec.train.overfit is None:
        labels = vault.open_test(dataset, folder, spec.id, "score of a single run")
        write_arrays(folder / "labels.safetensors", {"test.labels": labels})
        found += _beside_tfidf(dataset, arrays["dev.logits"])
    judged = judge_run(record, arrays, labels)
    seen = vault.looks(folder, vault.identity(dataset.test))
    result = TrainingRecord(
        command=command,
        run=record.name,
        data=dataset.name,
        **vars(judged),
        test_openings=len(seen),
        openings=seen,
        test_hash=vault.identity(dataset.test),
        alarms=[*record.alarms, *found],
    )
    card.write_all(folder, result)
    write_json(folder / "results.json", result)
    return result


def _beside_tfidf(dataset: Dataset, logits: NDArray[np.float32]) -> list[Alarm]:
    """Alarms about the dev logits [N, C] beside those of TF-IDF with logistic regression."""
    assert dataset.dev.label is not None
    return alarms.raised(Standing(logits[None], dataset.dev.label, baselines.tfidf(dataset).dev))

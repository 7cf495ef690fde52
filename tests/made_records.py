"""Made-up records: a comparison of four methods on two seeds, baselines, one failure, a search, and their folders."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from welltuned import record as records
from welltuned.record import (
    Alarm,
    ComparisonRecord,
    EpochRow,
    Memory,
    Provenance,
    RunRecord,
    Score,
    SearchRecord,
    SearchTrial,
    Statement,
    TableRow,
    Truncation,
)
from welltuned.spec import DataSpec, MethodSpec, ModelSpec, RunSpec, TrainSpec

MIB = 1024**2
METHODS = {  # trained parameters, height of the curve, activations (MiB), seconds
    "full": (22_713_986, 0.735, 610, 214.0),
    "lora": (148_226, 0.722, 560, 171.2),
    "prefix": (38_402, 0.668, 540, 160.9),
    "head": (770, 0.645, 30, 12.4),
}
ALL = 22_713_986
ROWS = {"train": 9427, "dev": 1635, "test": 1635}


def provenance() -> Provenance:
    return Provenance(
        welltuned="0.1.0", versions={"torch": "2.9.1", "numpy": "2.3.0"}, python="3.12.3", platform="Linux x86_64",
        processor="Example CPU (avx2)", cores=2, memory_bytes=8 * 1024**3, device="cpu", precision="bf16",
        threads=2, data_hash="5f" * 8, weights_hash="ab" * 8,
    )  # fmt: skip


def make_run(method: str = "lora", seed: int = 0, epochs: int = 7) -> RunRecord:
    trained, height, activations, seconds = METHODS[method]
    spec = RunSpec(
        data=DataSpec(source="builtin:yesno"), model=ModelSpec(name="minilm"),
        method=MethodSpec(name=method), train=TrainSpec(lr=5e-4, epochs=epochs, seed=seed),
    )  # fmt: skip
    curve = [
        EpochRow(
            epoch=epoch,
            train_loss=0.69 * math.exp(-0.18 * epoch * height),
            train_accuracy=min(0.99, 0.58 + (height - 0.55) * epoch / 3),
            dev_loss=0.66 - 0.03 * epoch + 0.006 * epoch**2,
            dev_accuracy=height - 0.05 * math.exp(-epoch / 1.5) - 0.002 * max(0, epoch - 4) + 0.004 * seed,
            lr=5e-4, seconds=seconds / epochs, grad_norm=1.2,
        )
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    best = max(curve, key=lambda row: row.dev_accuracy)
    memory = Memory(
        weights=87 * MIB, gradients=trained * 4, optimizer=trained * 8, activations=activations * MIB,
        forward=87 * MIB + trained * 8 + activations * MIB,
        backward=87 * MIB + trained * 12 + activations * MIB, step=87 * MIB + trained * 12,
        peak=87 * MIB + trained * 12 + activations * MIB, rows=32, tokens=256, how="allocator statistics",
    )  # fmt: skip
    return RunRecord(
        id=spec.id, name=spec.name, spec=spec, labels=["no", "yes"], rows=ROWS,
        curve=curve, best_epoch=best.epoch, dev_accuracy=best.dev_accuracy, usual_lr=1e-3,
        ledger={"head": 770, method: trained - 770},
        trained_parameters=trained, all_parameters=ALL, memory=memory,
        timings={"tokenize": 3.1, "train": seconds, "evaluate": 9.0},
        truncation={"train": Truncation(rows=9427, cut=1020), "dev": Truncation(rows=1635, cut=160)},
        provenance=provenance(),
    )  # fmt: skip


def score(accuracy: float) -> Score:
    return Score(accuracy=accuracy, low=accuracy - 0.021, high=accuracy + 0.02)


def make_row(method: str, seeds: tuple[int, ...] = (0, 1)) -> TableRow:
    trained, height, _, seconds = METHODS[method]
    runs = [make_run(method, seed) for seed in seeds]
    return TableRow(
        name=f"{method} on minilm", kind="method", method=method, model="minilm", lr=5e-4, epochs=7, batch_size=32,
        seeds=list(seeds), runs=[run.name for run in runs], trained_parameters=trained, all_parameters=ALL,
        memory_bytes=runs[0].memory.peak, seconds=seconds, dev=score(height), test=score(height - 0.011),
    )  # fmt: skip


FAILED = TableRow(
    name="full on bert-large", kind="failed", method="full", model="bert-large", all_parameters=335_143_938,
    failure="needs about 6.1 GiB for one step of 32 rows; 4.0 GiB are free. Try --batch-size 8",
)  # fmt: skip
BASELINES = [
    TableRow(name="majority class", kind="baseline", dev=score(0.622), test=score(0.617)),
    TableRow(name="TF-IDF + logistic regression", kind="baseline", dev=score(0.641), test=score(0.633), seconds=1.4),
]


def make_comparison() -> ComparisonRecord:
    table = [make_row(method) for method in METHODS]
    table[2].alarms.append(
        Alarm(
            kind="truncation",
            what="11% of the training rows lost tokens to --max-length 256",
            cause="their passages are longer",
            mend="raise --max-length to 384",
        )
    )
    return ComparisonRecord(
        command="welltuned compare builtin:yesno --methods full,lora,prefix,head --models minilm --seeds 0,1",
        data="builtin:yesno", data_hash="5f" * 8, labels=["no", "yes"],
        rows=ROWS,
        class_shares={
            "train": {"no": 0.378, "yes": 0.622}, "dev": {"no": 0.378, "yes": 0.622},
            "test": {"no": 0.383, "yes": 0.617},
        },
        table=[*table, *(row.model_copy(deep=True) for row in (*BASELINES, FAILED))],
        statements=[
            Statement(
                a="full on minilm", b="lora on minilm", difference=0.013, low=-0.004, high=0.03,
                p=0.13, p_holm=0.13, scope="test", sentence="No difference was found between full and lora.",
            ),
            Statement(
                a="full on minilm", b="head on minilm", difference=0.09, low=0.066, high=0.114,
                p=1e-6, p_holm=3e-6, scope="test", sentence="full beats head by 9.0 points.",
            ),
        ],
        verdict="Choose lora on minilm: the cheapest configuration that was not found to be worse than the best.",
        budget="3 trials each", test_openings=1,
        notes=["Two passages stood in both train and dev; their 5 dev rows were left out."],
        provenance=provenance(),
    )  # fmt: skip


def write_run(folder: Path, run: RunRecord) -> None:
    """Write what a finished run leaves, with logits that are right on the rows whose index is not 3 modulo 4."""
    labels = np.arange(8) % 2
    answers = np.where(np.arange(8) % 4 == 3, 1 - labels, labels)
    logits = np.eye(2, dtype=np.float32)[answers]
    records.write_json(folder / "spec.json", run.spec)
    records.write_arrays(
        folder / "predictions.safetensors", {"dev.logits": logits, "dev.labels": labels, "test.logits": logits}
    )
    records.write_json(folder / "record.json", run)


def write_comparison(folder: Path, record: ComparisonRecord) -> Path:
    """Write a comparison's folder with all the runs that its rows name."""
    for method in METHODS:
        for seed in (0, 1):
            run = make_run(method, seed)
            write_run(folder / "runs" / run.name, run)
    records.write_json(folder / "results.json", record)
    return folder


def make_search() -> SearchRecord:
    """A grid of three rates by two epoch counts on two seeds; the last trial diverged."""
    points = [(lr, epochs) for lr in (1e-4, 5e-4, 1e-3) for epochs in (7, 9)]
    trials = [
        SearchTrial(
            number=at, values={"lr": lr, "epochs": epochs}, runs=[f"full-{at}-seed0", f"full-{at}-seed1"],
            dev=0.70 + 0.01 * at, dev_by_seed=[0.69 + 0.01 * at, 0.71 + 0.01 * at], dev_loss=0.6 - 0.01 * at,
            best_epochs=[epochs - 1, epochs], seconds=40.0 + at,
        )
        for at, (lr, epochs) in enumerate(points)
    ]  # fmt: skip
    trials[5] = SearchTrial(number=5, values=trials[5].values, runs=trials[5].runs, failure="not finite at step 3")
    return SearchRecord(
        id="0" * 12, command="welltuned search builtin:yesno --grid lr=1e-4,5e-4,1e-3 --grid epochs=7,9",
        data="yesno", data_hash="5f" * 8, model="minilm", method="full", sampler="grid",
        space={"lr": "1e-4, 5e-4, 1e-3", "epochs": "7, 9"}, seeds=[0, 1], rows=ROWS, trials=trials, chosen=4,
        dev=score(0.74), test=score(0.731), majority={"dev": 0.62, "test": 0.617}, near=[3],
        verdict="chosen on dev: lr 0.001, epochs 7.", budget="6 trials, 2 seeds each", test_openings=1,
        advice=["lr 0.001 is the largest that was tried: a larger one may be better"], provenance=provenance(),
    )  # fmt: skip

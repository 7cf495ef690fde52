"""Each planted fault raises its own alarm, and twenty healthy runs raise none."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from welltuned import methods, plan, subject, train
from welltuned.comparing import Comparison, compare
from welltuned.record import ComparisonRecord
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec
from welltuned.workbench import Workbench

_spec = importlib.util.spec_from_file_location("problem", Path(__file__).with_name("problem.py"))
assert _spec is not None
assert _spec.loader is not None
problem = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(problem)

Patch = pytest.MonkeyPatch
LORA = "lora:rank=2:lr=1e-2"
TWO = f"{LORA},lora:rank=3:lr=1e-2"
GOOD = {"full": 1e-3, "head": 5e-3, "lora": 1e-2, "prefix": 3e-2}
"""A learning rate that suits the tiny model, where the default does not."""


@pytest.fixture
def answer(tmp_path: Path, model_folder: Callable[[str], Path]) -> Callable[..., ComparisonRecord]:
    def compared(data: Path, which: str = LORA, seeds: tuple[int, ...] = (0,), epochs: int = 4) -> ComparisonRecord:
        comparison = Comparison(
            data=DataSpec(source=str(data)),
            candidates=plan.candidates(which, {"epochs": epochs, "batch_size": 16}),
            models=[ModelSpec(name=str(model_folder("bert")), max_length=64)],
            seeds=seeds,
            compute=ComputeSpec(device="cpu", precision="fp32"),
        )
        return compare(comparison, tmp_path / "out", Workbench(), "welltuned compare")

    return compared


def kinds(record: ComparisonRecord) -> set[str]:
    return {alarm.kind for row in record.table for alarm in row.alarms} | {alarm.kind for alarm in record.alarms}


def test_twenty_healthy_runs_raise_none(answer: Callable[..., ComparisonRecord], tmp_path: Path) -> None:
    made = []
    for name in methods.names():
        config = [f"{field}={value}" for field, value in methods.find(name).tiny.items()]
        made.append(":".join([name, *config, f"lr={GOOD.get(name, methods.find(name).defaults.lr)}"]))
    seeds = tuple(range(max(5, -(-20 // len(made)))))
    record = answer(problem.healthy(tmp_path / "data"), ",".join(made), seeds, epochs=5)
    assert sum(len(row.runs) for row in record.table) >= 20
    assert all(row.test.accuracy > 0.85 for row in record.table if row.kind == "method" and row.test)
    assert [(row.name, row.alarms) for row in record.table if row.alarms] == []
    assert record.alarms == []


def frozen_adapter(folder: Path, patch: Patch) -> Path:
    """The optimizer holds the head alone."""

    def of_the_head(encoder: Any, spec: Any, compute: Any) -> torch.optim.Optimizer:
        return torch.optim.AdamW(encoder.head.parameters(), lr=spec.lr)

    patch.setattr(train, "adamw", of_the_head)
    return problem.healthy(folder)


def zero_lr(folder: Path, patch: Patch) -> Path:
    patch.setattr(train, "rate", lambda spec, steps: lambda step: 0.0)
    return problem.healthy(folder)


def shuffled_labels(folder: Path, patch: Patch) -> Path:
    made = {name: problem.rows(n, seed) for seed, (name, n) in enumerate(problem.SIZES.items())}
    answers = [row["answer"] for row in made["train"]]
    np.random.default_rng(0).shuffle(answers)
    made["train"] = [{**row, "answer": answer} for row, answer in zip(made["train"], answers, strict=True)]
    return problem.write(folder, made)


def constant_label(folder: Path, patch: Patch) -> Path:
    """What reaches the loop says yes to every training row."""
    real = Workbench.tokens

    def tokens(self: Workbench, data: Any, model: Any) -> Any:
        splits = real(self, data, model)
        return {**splits, "train": replace(splits["train"], labels=np.ones_like(splits["train"].labels))}

    patch.setattr(Workbench, "tokens", tokens)
    return problem.healthy(folder)


def leaked_rows(folder: Path, patch: Patch) -> Path:
    made = {name: problem.rows(n, seed) for seed, (name, n) in enumerate(problem.SIZES.items())}
    made["test"][:6] = made["train"][:6]
    return problem.write(folder, made)


def class_dependent_truncation(folder: Path, patch: Patch) -> Path:
    made = {name: problem.rows(n, seed, (6, 50)) for seed, (name, n) in enumerate(problem.SIZES.items())}
    return problem.write(folder, made)


def scheduler_on_the_wrong_optimizer(folder: Path, patch: Patch) -> Path:
    real, other = train.set_rate, torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    patch.setattr(train, "set_rate", lambda optimizer, lr: real(other, lr))
    return problem.healthy(folder)


def not_a_number(folder: Path, patch: Patch) -> Path:
    """A weight is damaged in the run of the adapter, which is then broken off; the head's run is not."""
    real = subject.carry_through

    def damaged(training: Any, *rest: Any) -> None:
        if len(training.method.ledger(training.encoder.shape)) > 1:
            with torch.no_grad():
                next(iter(training.encoder.head.parameters())).view(-1)[0] = float("nan")
        real(training, *rest)

    patch.setattr(subject, "carry_through", damaged)
    return problem.healthy(folder)


def told_by_the_question(folder: Path, patch: Patch) -> Path:
    made = {name: problem.rows(n, seed) for seed, (name, n) in enumerate(problem.SIZES.items())}
    for table in made.values():
        for row in table:
            row["question"] = "sun" if row["answer"] == "yes" else "river"
    return problem.write(folder, made)


def wrong_labels(folder: Path, patch: Patch) -> Path:
    made = {name: problem.rows(n, seed) for seed, (name, n) in enumerate(problem.SIZES.items())}
    for row in made["dev"][:8]:
        row["answer"] = "no" if row["answer"] == "yes" else "yes"
    return problem.write(folder, made)


PLANTED = [
    (frozen_adapter, LORA, "dead-adapter"),
    (frozen_adapter, LORA, "unchanged"),
    (zero_lr, LORA, "unchanged"),
    (zero_lr, LORA, "dead-adapter"),
    (shuffled_labels, LORA, "not-learning"),
    (constant_label, LORA, "collapsed"),
    (leaked_rows, LORA, "leak-rows"),
    (class_dependent_truncation, LORA, "truncation"),
    (scheduler_on_the_wrong_optimizer, LORA, "schedule"),
    (not_a_number, f"head:lr=5e-3,{LORA}", "not-finite"),
    (told_by_the_question, LORA, "shortcut"),
    (told_by_the_question, LORA, "tfidf"),
    (wrong_labels, TWO, "label-noise"),
]


@pytest.mark.parametrize(("fault", "which", "kind"), PLANTED, ids=[f"{one[0].__name__}-{one[2]}" for one in PLANTED])
def test_a_fault_raises_its_alarm(
    fault: Callable[[Path, Patch], Path], which: str, kind: str, answer: Callable[..., ComparisonRecord],
    tmp_path: Path, monkeypatch: Patch,
) -> None:  # fmt: skip
    record = answer(fault(tmp_path / "data", monkeypatch), which)
    assert kind in kinds(record)
    alarms = [alarm for row in record.table for alarm in row.alarms] + record.alarms
    assert all(alarm.what and alarm.cause and alarm.mend for alarm in alarms)


def test_suspects_are_listed_with_their_texts(
    answer: Callable[..., ComparisonRecord], tmp_path: Path, monkeypatch: Patch
) -> None:
    record = answer(wrong_labels(tmp_path / "data", monkeypatch), TWO)
    assert 3 <= len(record.suspects) <= 8
    assert {one.row for one in record.suspects} <= set(range(8))
    assert all(one.origin.startswith("dev.csv:") and one.text and one.pair for one in record.suspects)

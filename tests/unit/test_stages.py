"""A beginning that several runs have in common is trained once, and each of them comes out as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from families import write_examples

from welltuned import run as runs
from welltuned.plan import candidate
from welltuned.record import EpochRow, RunRecord, read_arrays
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.stages import Stages
from welltuned.workbench import Workbench

BATCH, ROWS = 8, 40
PER_EPOCH = ROWS // BATCH


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, model_folder: Callable[[str], Path]) -> Callable[..., RunSpec]:
    source = write_examples(tmp_path_factory.mktemp("rows"), {"train": ROWS, "dev": 16, "test": 12})

    def made(epochs: int, seed: int = 0, method: str = "full", **options: Any) -> RunSpec:
        one = candidate(method, {"batch_size": BATCH, "epochs": epochs, "lr": 1e-3, **options})
        model = ModelSpec(name=str(model_folder("bert")), max_length=40)
        return one.run(DataSpec(source=str(source)), model, seed, ComputeSpec(device="cpu", precision="fp32"))

    return made


def done(specs: Sequence[RunSpec], folder: Path) -> list[RunRecord]:
    bench = Workbench(stages=Stages())
    bench.stages.expect(specs)
    return [runs.trial(spec, folder / spec.name, bench) for spec in specs]


def alone(spec: RunSpec, folder: Path) -> RunRecord:
    return runs.trial(spec, folder / "alone" / spec.name, Workbench())


def timeless(curve: Sequence[EpochRow]) -> list[EpochRow]:
    return [row.model_copy(update={"seconds": 0.0}) for row in curve]


def require_same(record: RunRecord, folder: Path) -> None:
    """To the last bit: curve, answers, trained tensors."""
    other = alone(record.spec, folder)
    assert timeless(record.curve) == timeless(other.curve)
    assert (record.best_epoch, record.alarms) == (other.best_epoch, other.alarms)
    one, two = folder / record.name, folder / "alone" / record.name
    assert (one / runs.STATE).read_bytes() == (two / runs.STATE).read_bytes()
    arrays, others = (read_arrays(path / "predictions.safetensors") for path in (one, two))
    assert all(np.array_equal(arrays[name], others[name]) for name in others)


@pytest.mark.parametrize("epochs", [(1, 3, 2), (3, 2, 1)])
@pytest.mark.parametrize("method", ["full", "lora", "head"])
def test_one_run_serves_all_epoch_counts_under_a_constant_rate(
    method: str, epochs: tuple[int, ...], make: Callable[..., RunSpec], tmp_path: Path, steps: list[int]
) -> None:
    specs = [make(count, method=method, schedule="constant", warmup_ratio=0) for count in epochs]
    records = done(specs, tmp_path)
    assert len(steps) == max(epochs) * PER_EPOCH
    assert [record.timings["shared"] > 0 for record in records] == [False, *(True for _ in records[1:])]
    assert [record.utilisation is None for record in records] == [method == "head", *(True for _ in records[1:])]
    for record in records:
        require_same(record, tmp_path)


def test_up_to_the_decay_under_warmup_stable_decay(
    make: Callable[..., RunSpec], tmp_path: Path, steps: list[int]
) -> None:
    """The shorter run's last fifth of steps is its own; the longer one goes on from where that begins."""
    specs = [make(epochs, schedule="wsd", warmup_steps=2) for epochs in (2, 4)]
    records = done(specs, tmp_path)
    stable = 2 + round(0.8 * (2 * PER_EPOCH - 2))
    assert 4 * PER_EPOCH < len(steps) <= 2 * PER_EPOCH + 4 * PER_EPOCH - stable + 1
    for record in records:
        require_same(record, tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"schedule": "linear", "warmup_ratio": 0}, {}),
        ({"schedule": "constant", "warmup_ratio": 0.2}, {}),
        ({"schedule": "constant", "warmup_ratio": 0}, {"seed": 1}),
        ({"schedule": "constant", "warmup_ratio": 0}, {"lr": 2e-3}),
        ({"schedule": "constant", "warmup_ratio": 0}, {"weight_decay": 0.1}),
        ({"schedule": "constant", "warmup_ratio": 0}, {"patience": 1}),
    ],
)
def test_what_differs_from_the_first_step_on_shares_nothing(
    one: dict[str, Any], other: dict[str, Any], make: Callable[..., RunSpec], tmp_path: Path, steps: list[int]
) -> None:
    records = done([make(1, **one), make(2, **{**one, **other})], tmp_path)
    assert len(steps) == 3 * PER_EPOCH
    assert [record.timings["shared"] for record in records] == [0, 0]


def test_a_run_takes_no_state_that_waits_for_another(
    make: Callable[..., RunSpec], tmp_path: Path, steps: list[int]
) -> None:
    alike = {"schedule": "constant", "warmup_ratio": 0}
    between = make(2, lr=2e-3, **alike)
    records = done([make(1, **alike), between, make(2, **alike)], tmp_path)
    assert len(steps) == 4 * PER_EPOCH
    assert [record.timings["shared"] > 0 for record in records] == [False, False, True]
    require_same(records[1], tmp_path)


def test_states_go_when_nobody_waits_for_them(make: Callable[..., RunSpec], tmp_path: Path) -> None:
    specs = [make(epochs, schedule="constant", warmup_ratio=0) for epochs in (1, 2)]
    bench = Workbench(stages=Stages())
    bench.stages.expect(specs)
    runs.trial(specs[0], tmp_path / "one", bench)
    assert len(bench.stages._states) == 1
    runs.trial(specs[1], tmp_path / "two", bench)
    assert not bench.stages._states


def test_without_room_nothing_is_kept_and_each_is_trained(
    make: Callable[..., RunSpec], tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("welltuned.stages.available", lambda _: 1000)
    records = done([make(epochs, schedule="constant", warmup_ratio=0) for epochs in (1, 2)], tmp_path)
    assert len(steps) == 3 * PER_EPOCH
    assert records[1].timings["shared"] == 0

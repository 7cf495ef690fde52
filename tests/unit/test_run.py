from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import write_examples
from safetensors.numpy import load_file

from welltuned import artifact, methods, run, subject
from welltuned.batches import Batch
from welltuned.checkpoints import Saving
from welltuned.data import load_dataset
from welltuned.encoders import Encoder
from welltuned.errors import DataError, ResourceError, UsageError, WelltunedError
from welltuned.plan import candidate
from welltuned.progress import Observer
from welltuned.record import RunRecord, read_run
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.workbench import Workbench

SIZES = {"train": 40, "dev": 16, "test": 12}


class Heard(Observer):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.said: list[str] = []

    def stage(self, title: str, total: int) -> None:
        self.stages.append(title)

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("rows"), SIZES)


@pytest.fixture
def spec(rows: Path, model_folder: Callable[[str], Path]) -> Callable[..., RunSpec]:
    def made(method: str, seed: int = 0, head: str = "mean", max_length: int = 40, **options: Any) -> RunSpec:
        tiny = ":".join([method, *(f"{name}={value}" for name, value in methods.find(method).tiny.items())])
        model = ModelSpec(name=str(model_folder("bert")), head=head, max_length=max_length)  # type: ignore[arg-type]
        options = {"epochs": 2, "batch_size": 8, **options}
        compute = ComputeSpec(device="cpu", precision="fp32")
        return candidate(tiny, options).run(DataSpec(source=str(rows)), model, seed, compute)

    return made


Make = Callable[..., RunSpec]


def arrays(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "predictions.safetensors")


@pytest.mark.parametrize("method", methods.names())
def test_a_run_leaves_a_whole_folder(
    method: str, spec: Make, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one, heard = spec(method), Heard()
    record = run.run(one, tmp_path / "run", Workbench(heard))
    assert read_run(tmp_path / "run") == record
    assert RunRecord.model_validate_json(record.model_dump_json()) == record
    assert (record.id, record.name, record.spec) == (one.id, one.name, one)
    assert record.labels == ["no", "yes"]
    assert record.rows == SIZES
    assert [row.epoch for row in record.curve] == [1, 2]
    assert record.dev_accuracy == record.curve[record.best_epoch - 1].dev_accuracy
    assert record.trained_parameters == sum(record.ledger.values()) <= record.all_parameters
    assert record.memory.weights == 4 * record.all_parameters
    assert {"load", "memory", "train", "dev", "test", "save"} <= record.timings.keys()
    assert record.truncation["train"].rows == 40
    assert (record.utilisation is None) == (record.ledger.keys() == {"head"})
    assert record.provenance.weights_hash
    assert record.provenance.data_hash == load_dataset(one.data).hash
    assert "/root" not in record.provenance.model_dump_json()
    assert json.loads((tmp_path / "run" / "spec.json").read_text()) == one.model_dump(mode="json")
    stored = arrays(tmp_path / "run")
    assert {name: array.shape for name, array in stored.items()} == {
        "dev.logits": (16, 2), "dev.labels": (16,), "test.logits": (12, 2),
    }  # fmt: skip
    assert stored["dev.logits"].dtype == np.float32
    assert (stored["dev.logits"].argmax(axis=1) == stored["dev.labels"]).mean() == record.dev_accuracy
    assert artifact.load(tmp_path / "run" / "model").config.id2label == {0: "no", 1: "yes"}
    assert "predicting test" in heard.stages
    assert ("encoding train once" in heard.stages) == (record.ledger.keys() == {"head"})


def test_a_finished_run_is_read_and_not_repeated(spec: Make, tmp_path: Path) -> None:
    first = run.run(spec("head"), tmp_path, Workbench())
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    heard = Heard()
    again = run.run(spec("head"), tmp_path, Workbench(heard))
    assert again == first
    assert not heard.stages
    assert any("finished before" in text for text in heard.said)
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_rows_to_overfit_are_of_every_class() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    assert labels[subject._mixed(labels, 3)].tolist() == [0, 1, 2]
    assert labels[subject._mixed(labels, 6)].tolist() == [0, 0, 1, 1, 2, 2]
    assert subject._mixed(labels, 8).tolist() == list(range(8))


def test_changed_data_or_weights_run_anew(spec: Make, tmp_path: Path) -> None:
    first = run.run(spec("head"), tmp_path, Workbench())
    made = first.provenance
    assert subject.finished_run(spec("head"), tmp_path, made.data_hash, made.weights_hash) == first
    assert subject.finished_run(spec("head"), tmp_path, "another", made.weights_hash) is None
    assert subject.finished_run(spec("head"), tmp_path, made.data_hash, "another") is None


def test_another_spec_or_a_damaged_record_runs_anew(spec: Make, tmp_path: Path) -> None:
    first = run.run(spec("head"), tmp_path, Workbench())
    other = run.run(spec("head", seed=1), tmp_path, Workbench())
    assert other.id != first.id
    assert read_run(tmp_path) == other
    (tmp_path / "record.json").write_text((tmp_path / "record.json").read_text()[:100])
    made = other.provenance
    assert subject.finished_run(spec("head", seed=1), tmp_path, made.data_hash, made.weights_hash) is None
    (tmp_path / "predictions.safetensors").unlink()
    assert run.run(spec("head", seed=1), tmp_path, Workbench()).id == other.id
    assert arrays(tmp_path)


@pytest.mark.parametrize("method", methods.names())
def test_a_seed_decides_everything(method: str, spec: Make, tmp_path: Path) -> None:
    """Bit for bit, whatever ran before on the same bench."""
    shared = Workbench()
    for name, seed, bench in (("a", 0, shared), ("other", 1, shared), ("b", 0, Workbench())):
        run.run(spec(method, seed=seed), tmp_path / name, bench)
    run.run(spec(method), tmp_path / "c", shared)
    a, b, c, other = (arrays(tmp_path / name) for name in ("a", "b", "c", "other"))
    assert all(np.array_equal(a[name], b[name]) and np.array_equal(a[name], c[name]) for name in a)
    assert not np.array_equal(a["dev.logits"], other["dev.logits"])
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("a", "b")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_overfitting_trains_and_scores_the_same_few_rows(spec: Make, tmp_path: Path) -> None:
    record = run.run(spec("full", overfit=6, epochs=20, lr=0.02), tmp_path, Workbench())
    assert record.rows == {"train": 6, "dev": 6}
    assert "test.logits" not in arrays(tmp_path), "no row of the test split is looked at"
    assert record.dev_accuracy == 1.0
    with pytest.raises(DataError, match="40 training rows, fewer than the 41"):
        run.run(spec("full", overfit=41), tmp_path / "more", Workbench())
    assert not (tmp_path / "more" / "record.json").exists()


@pytest.mark.parametrize("overfit", [None, 6])
def test_what_the_steps_need_is_counted_for_the_rows_and_epochs_that_were_trained(
    overfit: int | None, spec: Make, tmp_path: Path
) -> None:
    one, bench = spec("full", overfit=overfit, epochs=5, patience=1, lr=1e-9), Workbench()
    record, shape = run.run(one, tmp_path, bench), bench.model(one.model).shape
    assert len(record.curve) < 5
    rows = bench.tokens(one.data, one.model)["train"]
    if overfit is not None:
        rows = rows.take(subject._mixed(rows.known_labels, overfit))
    matrices = sum(matrix.inputs * matrix.outputs for matrix in shape.matrices)
    linear, attention = 2 * matrices * rows.lengths.sum(), 4 * shape.hidden * (rows.lengths**2).sum()
    used = record.utilisation
    assert used is not None
    assert used.flop == 3 * shape.layers * (linear + attention) * len(record.curve)
    assert used.seconds == record.timings["train"]
    assert used.share > 0


def test_of_steps_that_another_process_took_nothing_is_said(spec: Make, tmp_path: Path) -> None:
    def killed(_: object) -> bool:
        raise KeyboardInterrupt

    bench = Workbench(saving=Saving(steps=2))
    with pytest.raises(KeyboardInterrupt):
        run.trial(spec("full"), tmp_path, bench, killed)
    assert any((tmp_path / "checkpoint").iterdir())
    assert run.trial(spec("full"), tmp_path, bench).utilisation is None
    assert run.trial(spec("full", seed=1), tmp_path, bench).utilisation is not None


def test_rows_longer_than_the_positions_are_refused_before_training(spec: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exceed this encoder's 128 positions"):
        run.run(spec("full", max_length=129), tmp_path, Workbench())
    assert not (tmp_path / "record.json").exists()


def test_truncated_rows_are_told_and_counted(spec: Make, tmp_path: Path) -> None:
    heard = Heard()
    record = run.run(spec("head", max_length=12), tmp_path, Workbench(heard))
    assert record.truncation["train"].cut > 0
    assert any(text.startswith("train: ") and "lose the end of the passage" in text for text in heard.said)


def test_a_ledger_that_lies_stops_the_run(spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods.find("head"), "ledger", lambda self, shape: {"head": 1})
    with pytest.raises(WelltunedError, match="declares 1 trained parameters and trains 66"):
        run.run(spec("head"), tmp_path, Workbench())


def test_the_test_labels_stay_sealed(spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from welltuned.data.dataset import Dataset

    def opened(*_: object) -> None:
        raise AssertionError("a run opened the test labels")

    bench = Workbench()
    dataset = bench.dataset(spec("head").data)
    assert dataset.test.label is None
    monkeypatch.setitem(dataset.__dict__, "unseal", opened)
    assert isinstance(dataset, Dataset)
    run.run(spec("head"), tmp_path, bench)
    assert not any(name.startswith("test.labels") for name in arrays(tmp_path))


@pytest.mark.parametrize("method", methods.names())
def test_a_trial_completed_later_equals_a_run(method: str, spec: Make, tmp_path: Path) -> None:
    whole = run.run(spec(method), tmp_path / "run", Workbench())
    first = run.trial(spec(method), tmp_path / "trial", Workbench())
    assert first.rows == {"train": 40, "dev": 16}
    assert not (tmp_path / "trial" / "model").exists()
    assert "test.logits" not in arrays(tmp_path / "trial")
    completed = run.complete(spec(method), tmp_path / "trial", Workbench())
    a, b = arrays(tmp_path / "run"), arrays(tmp_path / "trial")
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[name], b[name]) for name in a)
    told = {"timings", "curve", "utilisation"}
    assert completed.model_dump(exclude=told) == whole.model_dump(exclude=told)
    assert [row.dev_loss for row in completed.curve] == [row.dev_loss for row in whole.curve]
    weights = [load_file(tmp_path / name / "model" / "model.safetensors") for name in ("run", "trial")]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not (tmp_path / "trial" / run.STATE).exists()


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_trial_whose_tensors_are_lost_is_trained_again(damage: str, spec: Make, tmp_path: Path) -> None:
    run.trial(spec("head"), tmp_path, Workbench())
    state = tmp_path / run.STATE
    run.forget_state(tmp_path) if damage == "gone" else state.write_bytes(state.read_bytes()[:20])
    heard = Heard()
    assert run.complete(spec("head"), tmp_path, Workbench(heard)).rows == SIZES
    assert "epoch 2/2" in heard.stages
    again = Heard()
    run.trial(spec("head"), tmp_path, Workbench(again))
    assert again.stages == [], "a whole run is a finished trial"


def test_what_does_not_fit_is_refused_before_the_first_step(
    spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("welltuned.workbench.resident", lambda: 0)
    monkeypatch.setattr("welltuned.memory.guard.resident", lambda: 0)
    heard, tight = Heard(), Workbench(memory_limit=300_000)
    with pytest.raises(ResourceError, match="does not fit at any batch"):
        run.run(spec("full"), tmp_path, tight)
    close = Workbench(heard, memory_limit=3_000_000)
    with pytest.raises(ResourceError, match="does not fit in batches of 800") as error:
        run.run(spec("full", batch_size=800), tmp_path, close)
    most = int(re.search(r"--batch-size (\d+) or less", str(error.value))[1])  # type: ignore[index]
    assert not any("epoch" in stage for stage in heard.stages)
    run.run(spec("full", batch_size=most), tmp_path, close)
    with pytest.raises(ResourceError):
        run.run(spec("full", batch_size=most + 1), tmp_path / "more", close)


def test_encoding_that_does_not_fit_is_done_in_smaller_pieces(
    spec: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole = run.trial(spec("head"), tmp_path / "whole", Workbench(cache_limit=0))
    below, sizes = Encoder.below, list[int]()

    def narrow(encoder: Encoder, batch: Batch) -> torch.Tensor:
        if len(batch) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(batch))
        return below(encoder, batch)

    monkeypatch.setattr(Encoder, "below", narrow)
    parts = run.trial(spec("head"), tmp_path / "parts", Workbench(cache_limit=0))
    assert 1 < max(sizes) <= 5
    assert [row.train_loss for row in parts.curve] == pytest.approx([row.train_loss for row in whole.curve], abs=1e-5)


def test_a_model_that_stands_in_the_way_is_not_replaced(spec: Callable[..., RunSpec], tmp_path: Path) -> None:
    """``--model model --out .`` must not cost anybody the encoder it began with."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="this folder holds something else"):
        run.run(spec("head"), tmp_path, Workbench(Observer()))
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["config.json"]

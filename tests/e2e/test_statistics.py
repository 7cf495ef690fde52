"""What stands between a comparison and belief: planned power, sealed labels, figures that anyone can make again."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from welltuned.record import read_arrays, read_comparison, write_arrays

from .conftest import Command, rows, write_csv

SHORT = ("--epochs", "2", "--max-length", "32", "--batch-size", "8", "--precision", "fp32")
METHODS = "head,lora:rank=2"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("statistics") / "out"


@pytest.fixture
def finished(made: Path, welltuned: Command, problem: Path, bert: Path) -> Path:
    if not (made / "results.json").exists():
        done = welltuned(
            "compare", problem, "--methods", METHODS, "--model", bert, "--seeds", "0,1", "--margin", "20",
            "--out", made, *SHORT,
        )  # fmt: skip
        assert done.code == 0, done.err
        before, after = done.err.index("test rows, 2 seeds, 1 pair:"), done.err.index("epoch 1/2")
        assert before < after  # said before the first step
        assert "budget: " in done.out
    return made


def test_the_record_holds_scores_plan_and_margin(finished: Path) -> None:
    record = read_comparison(finished)
    assert record.margin == 0.2
    assert all(one.margin == 0.2 and one.p_equivalence is not None for one in record.statements)
    assert record.smallest_visible is not None
    for row in record.table:
        assert row.measures is not None
        assert np.sum(row.measures.confusion) == record.rows["test"] * max(1, len(row.seeds))
    assert [row.name for row in record.alone] == [
        "TF-IDF + logistic regression, question only", "TF-IDF + logistic regression, passage only",
    ]  # fmt: skip
    assert len(record.openings) == 1
    page = (finished / "report.html").read_text(encoding="utf-8")
    for part in ("Confusions", "MCC", "ECE", "One text alone", "p, equivalence", "Reliability curves"):
        assert part in page, part


def test_figures_are_recomputed_without_torch(finished: Path) -> None:
    code = (
        "import sys\n"
        "from welltuned.cli import main\n"
        f"try: main(['stats', {str(finished)!r}, '--json'])\n"
        "except SystemExit as left: assert not left.code, left.code\n"
        "heavy = {'torch', 'transformers', 'peft', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == json.loads((finished / "results.json").read_text(encoding="utf-8"))
    assert "figures equal those stored" in done.stderr


def test_a_record_or_array_that_was_changed_is_found(finished: Path, welltuned: Command, tmp_path: Path) -> None:
    copy = tmp_path / "of" / "copy"
    shutil.copytree(finished, copy)
    stored = json.loads((copy / "results.json").read_text(encoding="utf-8"))
    stored["table"][0]["test"]["accuracy"] += 0.01
    (copy / "results.json").write_text(json.dumps(stored), encoding="utf-8")
    done = welltuned("stats", copy)
    assert done.code == 3
    assert "table.0.test.accuracy: stored" in done.err
    shutil.copy(finished / "results.json", copy / "results.json")
    assert welltuned("stats", copy).code == 0
    run = next(copy.glob("runs/lora-*"))
    arrays = read_arrays(run / "predictions.safetensors")
    arrays["test.logits"] = -arrays["test.logits"]
    write_arrays(run / "predictions.safetensors", arrays)
    assert welltuned("stats", copy).code == 3


def test_a_single_run_is_recomputed_too(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "of" / "run"
    assert welltuned("train", problem, "--method", "head", "--model", bert, "--out", out, *SHORT).code == 0
    done = welltuned("stats", out)
    assert done.code == 0, done.err
    assert "test accuracy" in done.out
    assert "opened once" in (out / "report.html").read_text(encoding="utf-8")


def test_a_second_look_shows_in_every_later_report(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "runs" / "one", tmp_path / "runs" / "two"
    for out, lr in ((one, "1e-3"), (two, "2e-3")):
        call = ("compare", problem, "--methods", "head", "--model", bert, "--lr", lr, "--out", out, *SHORT)
        assert welltuned(*call).code == 0
    assert read_comparison(one).test_openings == 1
    assert read_comparison(two).test_openings == 2
    assert "opened 2 times" in (two / "report.html").read_text(encoding="utf-8")
    assert welltuned("report", one).code == 0  # drawn again, the first report knows of the second look
    page = (one / "report.html").read_text(encoding="utf-8")
    assert "opened 2 times" in page
    assert "(in two)" in page
    assert "1 more times" in welltuned("stats", one).err


def test_power_is_told_for_rows_and_for_data(welltuned: Command, problem: Path) -> None:
    told = json.loads(welltuned("power", "--n", "3270", "--seeds", "3", "--json").out)
    chances = {row["seeds"]: row["power"] for row in told["rows"]}
    assert chances[1] > chances[5] > chances[3] > 0.5
    assert [row["about"] for row in told["rows"]] == ["these trained models", "the methods", "the methods"]
    of_data = json.loads(welltuned("power", problem, "--methods", "4", "--json").out)
    assert of_data["taken"]["n"] == 16
    assert of_data["taken"]["comparisons"] == 6
    assert "smallest visible" in welltuned("power", "--n", "1000").out
    assert welltuned("power").code == 2
    assert "--difference" in welltuned("power", "--n", "100", "--base-accuracy", "0.99").err
    assert welltuned("power", problem, "--n", "10").code == 2


def three_files(folder: Path, flipped: bool) -> Path:
    """train, dev and test; with ``flipped`` every test label is the other one."""
    folder.mkdir()
    for seed, (name, n) in enumerate({"train": 40, "dev": 20, "test": 20}.items()):
        table = rows(n, seed)
        for i, row in enumerate(table):
            row["question"] += f" {name} {i}"
            if flipped and name == "test":
                row["answer"] = "no" if row["answer"] == "yes" else "yes"
        write_csv(folder / f"{name}.csv", table)
    return folder


def test_test_labels_change_nothing_before_the_opening(welltuned: Command, bert: Path, tmp_path: Path) -> None:
    """Non-interference: two data sets that differ in every test label train to the same bits and the same selection."""
    left = {}
    for name, flipped in (("as-is", False), ("flipped", True)):
        data, out = three_files(tmp_path / name, flipped), tmp_path / f"out-{name}"
        done = welltuned("compare", data, "--methods", METHODS, "--model", bert, "--out", out, *SHORT)
        assert done.code == 0, done.err
        runs = [json.loads((run / "record.json").read_text()) for run in sorted(out.glob("runs/*"))]
        left[name] = (
            {run.name.rsplit("-", 1)[0]: read_arrays(run / "predictions.safetensors") for run in out.glob("runs/*")},
            [[(row["train_loss"], row["dev_loss"], row["dev_accuracy"]) for row in run["curve"]] for run in runs],
            [run["best_epoch"] for run in runs],
            read_comparison(out),
        )
    for name, arrays in left["as-is"][0].items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, left["flipped"][0][name][key])
    assert sorted(left["as-is"][1]) == sorted(left["flipped"][1])
    for a, b in zip(left["as-is"][3].table, left["flipped"][3].table, strict=True):
        assert a.test is not None
        assert b.test is not None
        assert a.dev == b.dev
        assert a.test.accuracy == pytest.approx(1 - b.test.accuracy)


def test_labels_gone_from_disk_are_missed_at_the_opening_and_not_before(
    welltuned: Command, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the data is read the test labels are blotted out on disk: training goes on, and the opening fails."""
    from welltuned import comparing

    data, out = three_files(tmp_path / "data", flipped=False), tmp_path / "out"
    trained, real = [], comparing.complete

    def blotting(spec, folder, bench):  # type: ignore[no-untyped-def]
        with (data / "test.csv").open(newline="") as file:
            table = [{**row, "answer": "yes"} for row in csv.DictReader(file)]
        write_csv(data / "test.csv", table)
        trained.append(spec.name)
        return real(spec, folder, bench)

    monkeypatch.setattr(comparing, "complete", blotting)
    done = welltuned("compare", data, "--methods", METHODS, "--model", bert, "--out", out, *SHORT)
    assert done.code == 3
    assert "the data has changed" in done.err
    assert len(trained) == len(list(out.glob("runs/*/record.json"))) == 2
    assert not (out / "labels.safetensors").exists()

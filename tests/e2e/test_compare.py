from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from welltuned.record import read_arrays, read_comparison, read_run

from .conftest import Command

SHORT = ("--epochs", "2", "--max-length", "32", "--batch-size", "8", "--precision", "fp32")
METHODS = "full:lr=1e-3,head,prefix:length=3,lora:rank=2"


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("compared") / "out"


@pytest.fixture
def finished(compared: Path, welltuned: Command, problem: Path, bert: Path) -> Path:
    """A finished comparison of four methods over two seeds, made once."""
    if not (compared / "results.json").exists():
        done = welltuned(
            "compare", problem, "--methods", METHODS, "--model", bert, "--seeds", "0,1", "--out", compared, *SHORT
        )
        assert done.code == 0, done.err
        assert "lora:rank=2" in done.out
        assert "majority class" in done.out
        assert str(compared / "report.html") in done.out
    return compared


def test_results_hold_table_statements_and_provenance(finished: Path) -> None:
    record = read_comparison(finished)
    assert [row.kind for row in record.table] == ["method"] * 4 + ["baseline"] * 2
    assert len(record.statements) == 6
    assert record.verdict
    assert record.test_openings == 1
    assert record.provenance.versions["torch"]
    assert all(row.seeds == [0, 1] for row in record.table if row.kind == "method")


def test_every_score_can_be_recomputed_from_the_folder(finished: Path) -> None:
    record = read_comparison(finished)
    labels = read_arrays(finished / "labels.safetensors")["test.labels"]
    for row in record.table:
        if row.kind != "method":
            continue
        stored = [read_arrays(finished / "runs" / run / "predictions.safetensors") for run in row.runs]
        test = np.mean([arrays["test.logits"].argmax(1) == labels for arrays in stored])
        dev = np.mean([arrays["dev.logits"].argmax(1) == arrays["dev.labels"] for arrays in stored])
        assert row.test is not None
        assert row.dev is not None
        assert row.test.accuracy == pytest.approx(test)
        assert row.dev.accuracy == pytest.approx(dev)
    baselines = read_arrays(finished / "baselines.safetensors")
    majority = next(row for row in record.table if row.name == "majority class")
    assert majority.test is not None
    assert majority.test.accuracy == pytest.approx((baselines["majority class.test"].argmax(1) == labels).mean())


def test_report_and_figures_are_there(finished: Path) -> None:
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "lora:rank=2" in page
    assert len(list((finished / "figures").glob("*.png"))) >= 3


def test_second_call_trains_nothing_and_opens_nothing(
    finished: Path, welltuned: Command, problem: Path, bert: Path
) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/record.json")}
    results = (finished / "results.json").read_bytes()
    openings = (finished / "vault.jsonl").read_text()
    done = welltuned(
        "compare", problem, "--methods", METHODS, "--model", bert, "--seeds", "0,1", "--out", finished, *SHORT
    )
    assert done.code == 0
    assert "finished" in done.err
    assert stamps == {path: path.stat().st_mtime_ns for path in finished.glob("runs/*/record.json")}
    assert results == (finished / "results.json").read_bytes()
    assert openings == (finished / "vault.jsonl").read_text()


def test_broken_off_comparison_continues_with_what_is_missing(
    finished: Path, welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "results.json").unlink()
    lost = next(copy.glob("runs/lora-*"))
    (lost / "record.json").unlink()
    kept = {path: path.stat().st_mtime_ns for path in copy.glob("runs/*/record.json")}
    logits = read_arrays(lost / "predictions.safetensors")["test.logits"]
    done = welltuned("compare", problem, "--methods", METHODS, "--model", bert, "--seeds", "0,1", "--out", copy, *SHORT)
    assert done.code == 0
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert (lost / "record.json").exists()
    np.testing.assert_array_equal(logits, read_arrays(lost / "predictions.safetensors")["test.logits"])


def test_json_is_one_document_on_stdout(finished: Path, welltuned: Command, problem: Path, bert: Path) -> None:
    done = welltuned(
        "compare", problem, "--methods", METHODS, "--model", bert, "--seeds", "0,1", "--out", finished, *SHORT, "--json"
    )
    assert json.loads(done.out) == json.loads((finished / "results.json").read_text(encoding="utf-8"))


def test_sentences_of_pairs_have_the_sign_of_the_winner(finished: Path) -> None:
    for one in read_comparison(finished).statements:
        name, _, rest = one.sentence.partition(" beats ")
        first = name if rest else one.a
        sign = 1 if first == one.a else -1
        assert f"{100 * sign * one.difference:+.1f} points" in one.sentence


def test_the_same_run_under_two_names_is_refused(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    for methods, model in (("lora,lora:rank=8", bert), ("head", f"{bert},{bert}")):
        done = welltuned("compare", problem, "--methods", methods, "--model", model, "--out", tmp_path / "o", *SHORT)
        assert done.code == 2
        assert "the same" in done.err
    assert not (tmp_path / "o" / "vault.jsonl").exists()


def test_folders_of_the_other_kind_are_refused(
    finished: Path, welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    results = (finished / "results.json").read_bytes()
    done = welltuned("train", problem, "--method", "head", "--model", bert, "--out", finished, *SHORT)
    assert done.code == 2
    assert (finished / "results.json").read_bytes() == results
    welltuned("train", problem, "--method", "head", "--model", bert, "--out", tmp_path, *SHORT)
    assert welltuned("compare", problem, "--methods", "head", "--model", bert, "--out", tmp_path, *SHORT).code == 2


def test_when_every_run_fails_the_test_stays_sealed(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from welltuned import comparing
    from welltuned.errors import DivergedError

    def diverging(spec, folder, bench):  # type: ignore[no-untyped-def]
        raise DivergedError("not finite at step 1")

    monkeypatch.setattr(comparing, "complete", diverging)
    done = welltuned("compare", problem, "--methods", "full,head", "--model", bert, "--out", tmp_path / "o", *SHORT)
    assert done.code == 5
    assert not (tmp_path / "o" / "vault.jsonl").exists()


def test_method_that_diverges_stands_as_failed_and_ends_nothing(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from welltuned import comparing
    from welltuned.errors import DivergedError

    real = comparing.complete

    def diverging(spec, folder, bench):  # type: ignore[no-untyped-def]
        if spec.method.name == "full":
            raise DivergedError("not finite at step 1")
        return real(spec, folder, bench)

    monkeypatch.setattr(comparing, "complete", diverging)
    done = welltuned("compare", problem, "--methods", "full,head", "--model", bert, "--out", tmp_path / "o", *SHORT)
    assert done.code == 0
    record = read_comparison(tmp_path / "o")
    assert [row.kind for row in record.table][:2] == ["failed", "method"]
    assert "not finite" in (record.table[0].failure or "")
    assert "not finite" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")


def test_report_is_drawn_again_from_records(finished: Path, welltuned: Command) -> None:
    page = (finished / "report.html").read_bytes()
    (finished / "report.html").unlink()
    assert welltuned("report", finished).code == 0
    assert (finished / "report.html").read_bytes() == page


def test_an_answer_comes_alone(finished: Path) -> None:
    """In a fresh process nothing but the answer is printed, on either stream."""
    run = next(finished.glob("runs/full-*"))
    command = [sys.executable, "-m", "welltuned", "predict", str(run), "--text", "is it so", "--text-pair", "red sun"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_winner_answers(finished: Path, welltuned: Command, problem: Path) -> None:
    record = read_comparison(finished)
    chosen = finished if record.winner else next(finished.glob("runs/full-*"))
    one = welltuned("predict", chosen, "--text", "is it so", "--text-pair", "red sun hot")
    assert one.code == 0
    assert one.out.split()[0] in {"yes", "no"}
    many = welltuned("predict", chosen, "--input", problem)
    assert [set(json.loads(line)) for line in many.out.splitlines()] == [{"label", "probabilities", "truncated"}] * 80
    piped = welltuned("predict", chosen, stdin='is it so\tred sun\n{"question": "is it so", "passage": "red sun"}\n')
    first, second = (json.loads(line) for line in piped.out.splitlines())
    assert first["label"] == second["label"]
    assert first["probabilities"] == pytest.approx(second["probabilities"], abs=1e-6)  # but for a last bit
    document = welltuned("predict", chosen, "--input", problem, "--json")
    assert len(json.loads(document.out)) == 80


def test_models_and_heads_side_by_side_and_what_does_not_fit_stands_with_nought(
    welltuned: Command, problem: Path, bert: Path, model_folder: Callable[[str], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for place in ("workbench", "memory.guard"):
        monkeypatch.setattr(f"welltuned.{place}.resident", lambda: 0)
    other = model_folder("modernbert")
    done = welltuned(
        "compare", problem, "--methods", "full,head", "--models", f"{bert},{other}", "--head", "mean,native",
        "--out", tmp_path, "--memory-limit", "500KB", *SHORT, "--batch-size", "4",
    )  # fmt: skip
    assert done.code == 0, done.err
    table = {row.name: row for row in read_comparison(tmp_path).table}
    places = [f"{model.name}, {head} head" for model in (bert, other) for head in ("mean", "native")]
    names = [f"{method} on {place}" for place in places for method in ("full", "head")]
    assert [name for name in table if " on " in name] == names
    for name in names:
        fits = name.startswith("head")
        assert table[name].kind == ("method" if fits else "failed")
        assert (table[name].test is None) != fits
        assert fits or "does not fit at any batch" in str(table[name].failure)
    assert "8 of 8 done" in done.err
    assert "does not fit at any batch" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_nothing_fits(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    done = welltuned(
        "compare",
        problem,
        "--methods",
        "full,head",
        "--model",
        bert,
        "--memory-limit",
        "1MB",
        "--out",
        tmp_path,
        *SHORT,
    )
    assert done.code == 4
    assert "does not fit at any batch" in done.err


def test_each_line_is_tuned_within_the_same_budget(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    out = tmp_path / "of" / "its own"  # looks at these test rows from folders beside it would count
    call = (
        "compare", problem, "--methods", "head,lora:rank=2", "--model", bert, "--seeds", "0,1", "--trials", "3",
        "--range", "lr=1e-5..1e-1", "--grid", "alpha=4,16", "--out", out, *SHORT,
    )  # fmt: skip
    done = welltuned(*call)
    assert done.code == 0, done.err
    record = read_comparison(out)
    assert "each tuned on dev within 3 trials" in record.budget
    for row in record.table[:2]:
        assert row.budget is not None
        assert row.budget.trials == 3 == len(row.budget.scores)
        assert [one.trials for one in row.budget.best_after] == [1, 2, 3]
        assert row.seeds == [0, 1]
        first = read_run(out / "runs" / row.runs[0])
        assert first.dev_accuracy == max(row.budget.scores)
        assert first.spec.train.lr == row.lr
    assert record.table[1].config["alpha"] in (4, 16)
    assert record.test_openings == 1
    assert not list(out.rglob("state.safetensors"))
    whole = {path.parent.name for path in out.glob("runs/*/model")}
    assert whole == {name for row in record.table[:2] for name in row.runs}
    assert "epoch 1/" not in welltuned(*call).err
    assert welltuned("stats", out).code == 0


def test_a_budget_of_seconds_ends_the_tuning(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    done = welltuned(
        "compare", problem, "--methods", "head", "--model", bert, "--trials", "5", "--max-seconds", "0",
        "--out", tmp_path, *SHORT,
    )  # fmt: skip
    assert done.code == 0, done.err
    (row, *_) = read_comparison(tmp_path).table
    assert row.budget is not None
    assert row.budget.trials == 1

"""From a trained run to a file that answers without torch."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import Command, rows, write_csv

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

SHORT = ("--max-length", "24", "--batch-size", "8", "--precision", "fp32", "--epochs", "1")
ALONE = """
import importlib.abc, json, runpy, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("torch", "transformers", "welltuned", "onnx", "onnxscript"):
            raise ImportError(f"{name} is not for here")

sys.meta_path.insert(0, Refuse())
model = runpy.run_path(sys.argv[1])["Model"](sys.argv[2])
rows = json.load(sys.stdin)
print(json.dumps({"logits": model.logits(rows).tolist(), "answers": model.answers(rows)}))
"""


@pytest.fixture(scope="module")
def long_problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of which some are longer than the model reads, one with an endless question."""
    table = rows(60)
    for at, row in enumerate(table):
        row["passage"] += " red" * (at % 30)
    table[3]["question"] = "is " * 40 + "it"
    return write_csv(tmp_path_factory.mktemp("long") / "rows.csv", table)


@pytest.fixture(scope="module")
def trained(long_problem: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    done = subprocess.run(
        [sys.executable, "-m", "welltuned", "train", str(long_problem), "--method", "lora:rank=2", "--lr", "0.02",
         "--model", str(bert), "--out", str(out), *SHORT],
        cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def pairs(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return [[row["question"], row["passage"]] for row in csv.DictReader(file)]


def alone(folder: Path, given: list[list[str]]) -> dict[str, Any]:
    """What the example says in a process where torch and transformers cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE, str(folder / "example.py"), str(folder)],
        input=json.dumps(given), capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_an_export_answers_without_torch_and_in_predict(
    welltuned: Command, trained: Path, long_problem: Path, tmp_path: Path
) -> None:
    from welltuned.predicting import OnnxForward, Predictor, logits_of
    from welltuned.serving.models import opened

    out = tmp_path / "onnx"
    done = welltuned("export", trained, "--out", out, "--json")
    assert done.code == 0
    told = json.loads(done.out)
    assert told["check"]["on"] == "dev"
    assert told["check"]["rows"] == json.loads((trained / "record.json").read_text())["rows"]["dev"]
    assert told["check"]["largest"] <= 1e-4
    assert told == json.loads((out / "export.json").read_text())
    given = pairs(long_problem)
    run = Predictor(trained)
    tokens = run.reader.read([a for a, _ in given], [b for _, b in given])
    assert tokens.cut.any()
    assert tokens.truncation.questions_cut == 1
    found = alone(out, given)
    np.testing.assert_allclose(found["logits"], logits_of(run.forward, tokens, 2, 16).numpy(), atol=1e-4)
    answers = run.answers([a for a, _ in given], [b for _, b in given])
    assert [one["label"] for one in found["answers"]] == [one.label for one in answers]
    asked = ("--question", "is it so", "--passage", "red sun hot", "--json")
    ours, theirs = (json.loads(welltuned("predict", folder, *asked).out)[0] for folder in (trained, out))
    assert ours["label"] == theirs["label"]
    assert ours["probabilities"] == pytest.approx(theirs["probabilities"], abs=1e-5)
    (served,) = opened([str(out)])
    assert isinstance(served.predictor.forward, OnnxForward), "a server computes with it too"
    changed = bytearray((out / "model.onnx").read_bytes())
    changed[len(changed) // 2] ^= 1
    (out / "model.onnx").write_bytes(changed)
    refused = welltuned("predict", out, *asked)
    assert refused.code == 3
    assert "model.onnx is not as it was written" in refused.err


def test_int8_says_what_it_costs(welltuned: Command, trained: Path, tmp_path: Path) -> None:
    done = welltuned("export", trained, "--int8", "--out", tmp_path / "small")
    assert done.code == 0
    told = json.loads((tmp_path / "small" / "export.json").read_text())
    check = told["check"]
    assert told["precision"] == "int8"
    assert check["low"] <= check["difference"] <= check["high"]
    assert check["difference"] == pytest.approx(check["accuracy"] - check["accuracy_torch"])
    assert check["sentence"] in done.out.replace("\n", " ")
    assert sorted(path.name for path in (tmp_path / "small").glob("*.onnx")) == ["model.onnx"]
    record = json.loads((trained / "results.json").read_text())
    assert check["accuracy_torch"] == pytest.approx(record["dev"]["accuracy"]), "the same dev rows, the same model"
    assert alone(tmp_path / "small", [["is it", "red"]])["answers"][0]["label"] in ("no", "yes")
    assert welltuned("export", tmp_path / "small").code == 2


def test_attention_is_written_out(welltuned: Command, trained: Path, tmp_path: Path) -> None:
    """As products and a softmax, without a search for softmaxes that are no number."""
    import onnx

    assert welltuned("export", trained, "--out", tmp_path / "whole").code == 0
    kinds = {node.op_type for node in onnx.load(tmp_path / "whole" / "model.onnx").graph.node}
    assert "Softmax" in kinds
    assert "IsNaN" not in kinds


def test_an_int8_answer_does_not_depend_on_the_rows_beside_it(
    welltuned: Command, trained: Path, long_problem: Path, tmp_path: Path
) -> None:
    from welltuned.predicting import Predictor

    assert welltuned("export", trained, "--int8", "--out", tmp_path / "small").code == 0
    given = pairs(long_problem)[:6]
    predictor = Predictor(tmp_path / "small")
    together = predictor.answers([a for a, _ in given], [b for _, b in given])
    singly = [predictor.answers([a], [b])[0] for a, b in given]
    shares = [[one.probabilities["yes"] for one in answers] for answers in (together, singly)]
    np.testing.assert_array_equal(*shares)
    example = [one["probabilities"]["yes"] for one in alone(tmp_path / "small", given)["answers"]]
    np.testing.assert_allclose(example, shares[0], atol=1e-6)


def test_without_the_extra_it_says_how_to_get_it(
    welltuned: Command, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    done = welltuned("export", trained, "--out", tmp_path / "o")
    assert done.code == 2
    assert "pip install 'welltuned[export]'" in done.err
    assert not (tmp_path / "o").exists()
    assert welltuned("export", trained, "--to", "stone").code == 2


def test_a_stock_checkpoint_is_merged_or_refused(
    welltuned: Command, problem: Path, trained: Path, bert: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    run, out = tmp_path / "run", tmp_path / "stock"
    asked = ("--method", "lora:rank=2", "--head", "native", "--model", bert, "--out", run)
    assert welltuned("train", problem, *asked, *SHORT).code == 0
    assert welltuned("export", run, "--to", "transformers", "--out", out).code == 0
    assert not (out / "adapter").exists()
    assert type(AutoModelForSequenceClassification.from_pretrained(out)).__name__ == "BertForSequenceClassification"
    refused = welltuned("export", trained, "--to", "transformers")
    assert refused.code == 2
    assert "--head native" in refused.err
    assert welltuned("export", run, "--to", "transformers", "--int8").code == 2


def test_data_that_changed_is_not_exported_against(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    shutil.copy(problem, tmp_path / "rows.csv")
    run = tmp_path / "run"
    assert (
        welltuned("train", tmp_path / "rows.csv", "--method", "head", "--model", bert, "--out", run, *SHORT).code == 0
    )
    with (tmp_path / "rows.csv").open("a") as file:
        file.write("is it so,one more,yes\n")
    done = welltuned("export", run)
    assert done.code == 3
    assert "not that of the run any more" in done.err

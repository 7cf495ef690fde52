"""What becomes of a finished run in people's hands: its card, its way to the Hub; and the machine it is on."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from .conftest import Command

SHORT = ("--max-length", "32", "--batch-size", "8", "--precision", "fp32", "--epochs", "1")


@pytest.fixture
def trained(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> Path:
    """A run of LoRA on the small problem."""
    out = tmp_path / "run"
    done = welltuned("train", problem, "--method", "lora:rank=2", "--model", bert, "--out", out, *SHORT)
    assert done.code == 0
    return out


def pasted(text: str, folder: Path, root: Path) -> str:
    """What the lines of a card print, run as they stand, in a process of their own."""
    (lines,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", lines], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_leaves_a_card_whose_lines_run(trained: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    text = (trained / "model" / "README.md").read_text()
    results = json.loads((trained / "results.json").read_text())
    _, figures = model_index_to_eval_results(ModelCard(text).data.to_dict()["model-index"])
    assert figures[0].metric_value == pytest.approx(results["test"]["accuracy"], abs=1e-6)
    assert f"| test | {json.loads((trained / 'record.json').read_text())['rows']['test']} | " in text
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text
    assert "import welltuned" in text
    assert re.search(r"'label': '(no|yes)', 'score': 0\.\d+", pasted(text, trained / "model", pytestconfig.rootpath))


def test_the_lines_of_a_stock_model_need_no_welltuned(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    out = tmp_path / "run"
    done = welltuned("train", problem, "--model", bert, "--head", "native", "--out", out, *SHORT)
    assert done.code == 0
    text = (out / "model" / "README.md").read_text()
    assert "import welltuned" not in text
    assert "'label'" in pasted(text, out / "model", pytestconfig.rootpath)


def test_comparison_and_search_leave_cards_with_test_figures(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    asked = (problem, "--model", bert, *SHORT)
    assert welltuned("compare", *asked, "--methods", "head,full", "--out", tmp_path / "compared").code == 0
    assert welltuned("search", *asked, "--method", "head", "--grid", "lr=1e-3,1e-2", "--out", tmp_path / "s").code == 0
    cards = [
        *(tmp_path / "compared").glob("runs/*/model/README.md"),
        *(tmp_path / "s").glob("trials/*/model/README.md"),
    ]
    assert len(cards) == 3
    for path in cards:
        text = path.read_text()
        assert "model-index" in ModelCard(text).data.to_dict()
        assert str(tmp_path) not in text
    assert "the best of 2 trials" in cards[-1].read_text()


def test_push_shows_and_then_uploads(welltuned: Command, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploaded: dict[str, Any] = {}

    class Api:
        def create_repo(self, repo_id: str, **options: Any) -> str:
            uploaded["options"] = options
            return f"https://huggingface.co/{repo_id}"

        def create_commit(self, repo_id: str, operations: list[Any], *, commit_message: str) -> None:
            uploaded["files"] = [one.path_in_repo for one in operations]

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    shown = welltuned("push", trained, "ann/yesno", "--private")
    assert shown.code == 0
    assert not uploaded
    assert "model.safetensors, " in shown.out
    assert "pipeline_tag: text-classification" in shown.out
    assert "nothing was uploaded; add --yes" in shown.out
    done = welltuned("push", trained, "ann/yesno", "--private", "--yes", "--json")
    assert done.code == 0
    assert json.loads(done.out)["url"] == "https://huggingface.co/ann/yesno"
    assert uploaded["options"] == {"private": True, "exist_ok": True}
    assert set(uploaded["files"]) == set(json.loads(done.out)["files"])
    assert {"README.md", "config.json", "adapter/adapter_config.json"} <= set(uploaded["files"])
    for said in (shown, done):
        assert "hf_very_secret" not in said.out + said.err


def test_push_without_the_hub_leaves_with_4(welltuned: Command, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    done = welltuned("push", trained, "ann/yesno", "--yes")
    assert done.code == 4
    assert "the Hub cannot be reached" in done.err
    assert "hf_very_secret" not in done.out + done.err
    assert welltuned("push", trained, "no owner").code == 2
    assert welltuned("push", trained / "model", "ann/yesno").code == 3


def test_doctor_reads_aloud_and_as_json(welltuned: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("welltuned.engine.precision.bf16_is_faster", lambda: False)
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    said, told = welltuned("doctor"), welltuned("doctor", "--json")
    assert said.code == told.code == 0
    assert "\x1b" not in said.out
    lines = said.out.splitlines()
    assert all(line.startswith(("ok: ", "warning: ", "    to mend it: ")) for line in lines[:-1])
    assert lines[-1].endswith("Welltuned can work here")
    assert len(json.loads(told.out)["findings"]) == sum(not line.startswith("    ") for line in lines[:-1])
    assert "hf_very_secret" not in said.out + told.out


def test_doctor_leaves_with_4_where_nothing_can_work(welltuned: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("welltuned.engine.precision.bf16_is_faster", lambda: False)
    monkeypatch.setattr("welltuned.memory.limits.available", lambda _: 0)
    done = welltuned("doctor")
    assert done.code == 4
    assert "problem: 0.0 GiB of " in done.out
    assert "    to mend it: close other programs" in done.out

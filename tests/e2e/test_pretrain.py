from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .conftest import Command

TINY = (
    "--shape", "bert:layers=1:hidden=32:heads=2", "--vocab-size", "90", "--max-length", "24", "--batch-size", "8",
    "--held-out", "0.2", "--precision", "fp32",
)  # fmt: skip


def test_from_scratch_into_every_model_option(welltuned: Command, problem: Path, tmp_path: Path) -> None:
    done = welltuned("pretrain", problem, "--steps", "10", "--out", tmp_path / "p", *TINY)
    assert done.code == 0, done.err
    assert "held-out perplexity" in done.out
    assert (tmp_path / "p" / "figures" / "pretraining.png").is_file()
    model = tmp_path / "p" / "model"
    trained = welltuned(
        "train", problem, "--model", model, "--epochs", "1", "--max-length", "24", "--out", tmp_path / "t"
    )
    assert trained.code == 0, trained.err
    on = ("--model", model, "--steps", "4", "--head-steps", "2", "--max-length", "24", "--batch-size", "8")
    more = welltuned("pretrain", problem, *on, "--held-out", "0.2", "--whole-words", "--out", tmp_path / "q", "--json")
    assert more.code == 0, more.err
    record = json.loads(more.out)
    assert record["fresh_head"] is False
    assert [row["step"] for row in record["curve"]] == [0, 1, 2, 3, 4]
    assert welltuned("check", problem, "--model", model).code == 0
    assert welltuned("memory", problem, "--model", model, "--methods", "head", "--out", tmp_path / "m").code == 0
    assert welltuned("tokenizer", "inspect", problem, "--model", model).code == 0


def test_what_is_masked_is_shown(welltuned: Command, problem: Path, tmp_path: Path) -> None:
    done = welltuned("pretrain", problem, "--show", "--out", tmp_path, *TINY)
    assert done.code == 0, done.err
    assert "-100 (none)" in done.out
    assert "[MASK]" in done.out
    shown = json.loads(welltuned("pretrain", problem, "--show", "--json", "--out", tmp_path, *TINY).out)
    assert any(one["label"] for one in shown)


def in_a_process(text: Path, folder: Path) -> subprocess.Popen[str]:
    """A pretraining of thirty steps with a checkpoint at every third, in a process of its own."""
    options = [
        "--steps",
        "30",
        "--eval-every",
        "3",
        "--save-steps",
        "3",
        "--head-steps",
        "7",
        "--out",
        str(folder),
        *TINY,
    ]
    command = [sys.executable, "-m", "welltuned", "pretrain", str(text), *options]
    known = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=known)


@pytest.fixture(scope="module")
def uninterrupted(problem: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with in_a_process(problem, folder) as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_one_goes_on_bit_for_bit(
    how: signal.Signals, problem: Path, uninterrupted: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    with in_a_process(problem, tmp_path) as process:
        while not any((tmp_path / "checkpoint").glob("[0-9]*")):
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(how)
    assert not (tmp_path / "model").exists()
    with in_a_process(problem, tmp_path) as process:
        said = process.communicate()[1]
    assert "goes on from the checkpoint" in said
    parts = load_file(tmp_path / "model" / "model.safetensors")
    assert all(torch.equal(value, parts[name]) for name, value in uninterrupted.items())


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--model", "minilm", "--shape", "bert"), 2, "--shape"),
        (("--shape", "gpt"), 2, "--shape"),
        (("--shape", "bert:hidden=30:heads=4"), 2, "cannot share"),
        (("--shape", "bert:width=30"), 2, "width"),
        (("--mask-rate", "0"), 2, "--mask-rate"),
        (("--held-out", "0.0000001", "--vocab-size", "90"), 3, "held-out"),
    ],
)
def test_what_cannot_be_done_is_told(
    options: tuple[str, ...], code: int, said: str, welltuned: Command, problem: Path, tmp_path: Path
) -> None:
    done = welltuned("pretrain", problem, "--steps", "1", "--out", tmp_path / "p", *options)
    assert done.code == code, done.err
    assert said in done.err

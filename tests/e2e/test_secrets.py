"""What a command leaves behind tells nothing of who ran it: no token, no environment, no home folder, no user."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import Command

TOKEN = "hf_PLANTEDPLANTEDPLANTEDPLANTEDPLAN"
PLANTED = {
    "HF_TOKEN": TOKEN,
    "WANDB_API_KEY": "planted-wandb-key",
    "AWS_SECRET_ACCESS_KEY": "planted/secret/key",
    "WELLTUNED_PLANTED": "planted-variable",
    "USER": "planted-user",
    "LOGNAME": "planted-user",
    "HOSTNAME": "planted-host",
}
QUICK = ("--epochs", "1", "--max-length", "16")


@pytest.fixture
def home(problem: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a token, data and a model in it; commands run from within."""
    folder = tmp_path / "planted-home"
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / "token").write_text(TOKEN)
    shutil.copy(problem, folder / "rows.csv")
    shutil.copytree(bert, folder / "model")
    monkeypatch.setenv("HOME", str(folder))
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


COMMANDS = {
    "train": ("train", "--method", "lora:rank=2", "--head", "native"),
    "compare": ("compare", "--methods", "head,lora:rank=2"),
    "search": ("search", "--method", "prefix:length=4", "--grid", "lr=1e-3,1e-2"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_written_tells_who_ran_it(name: str, welltuned: Command, home: Path) -> None:
    """Data, model and results are named by their whole paths, as a shell completes ``~``."""
    command, *options = COMMANDS[name]
    model, out = home / "model", home / "out"
    done = welltuned(command, home / "rows.csv", "--model", model, "--out", out, *QUICK, *options)
    assert done.code == 0, done.err
    written = [path for path in sorted(out.rglob("*")) if path.is_file()]
    assert {"results.json", "report.html"} <= {path.name for path in written}
    wanted = [str(home), *PLANTED.values()]
    told = [(path.relative_to(out), word) for path in written for word in wanted if word.encode() in path.read_bytes()]
    assert not told
    print(f"{len(written)} files written by {name}, none with any of {len(wanted)} planted words")
    again = welltuned(command, home / "rows.csv", "--model", model, "--out", out, *QUICK, *options)
    assert again.code == 0, again.err

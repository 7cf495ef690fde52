"""Shells that complete, terminals that can do little, and people who listen instead of looking."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

START = "import sys; sys.argv[0] = 'welltuned'; from welltuned.cli import main; main()"
WITHOUT_TORCH = "import sys, atexit; atexit.register(lambda: 'torch' in sys.modules and print('torch')); " + START


def completed(words: str) -> list[str]:
    """What bash is offered for the last of these words."""
    told = {"_WELLTUNED_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH], env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("welltuned tok", ["tokenizer"]),
        ("welltuned tokenizer tr", ["train"]),
        ("welltuned compare --see", ["--seeds", "--seed"]),
        ("welltuned compare b", ["builtin:yesno"]),
        ("welltuned compare --methods head,pre", ["head,prefix"]),
        ("welltuned train x --method lo", ["lora"]),
        ("welltuned train x --model roberta", ["roberta-base", "roberta-large"]),
        ("welltuned pretrain bui", ["builtin:yesno"]),
        ("welltuned train rows", []),
    ],
)
def test_completion_without_torch(words: str, offered: list[str]) -> None:
    assert completed(words) == offered


def on_a_terminal(*arguments: object, **told: str) -> str:
    """All that a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **told}
    process = subprocess.Popen(
        [sys.executable, "-m", "welltuned", *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert process.wait() == 0, said.decode()
    return said.decode()


DRAWN = "─━│┃█▏╸"
MOVED = ("\x1b[?25l", "\x1b[1A", "\x1b[2K")


@pytest.mark.parametrize("told", [{"ACCESSIBLE": "1", "NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["accessible", "dumb"])
def test_nothing_is_drawn_or_moved_for_who_listens(
    told: dict[str, str], problem: Path, bert: Path, tmp_path: Path
) -> None:
    asked = ("--method", "head", "--epochs", "2", "--max-length", "16", "--device", "cpu", "--out", tmp_path / "out")
    said = on_a_terminal("train", problem, "--model", bert, *asked, **told)
    assert "epoch 2/2" in said
    assert not any(sign in said for sign in (*MOVED, *DRAWN, "\x1b[3")), said
    asked = ("--methods", "head", "--max-length", "16", "--out", tmp_path / "memory")
    table = on_a_terminal("memory", problem, "--model", bert, *asked, **told)
    assert not any(sign in table for sign in (*DRAWN, "\x1b[3")), table


COLOURED = re.compile(r"\x1b\[(?:\d+;)*(?:[349][0-7]|[34]8)(?:;\d+)*m")


def test_no_color_takes_the_colours_alone(problem: Path, bert: Path, tmp_path: Path) -> None:
    asked = ("--method", "full", "--epochs", "2", "--max-length", "16", "--device", "cpu", "--out", tmp_path / "out")
    plain = on_a_terminal("train", problem, "--model", bert, *asked, NO_COLOR="1")
    assert MOVED[0] in plain
    assert not COLOURED.search(plain)
    with_colours = on_a_terminal("train", problem, "--model", bert, *asked[:-1], tmp_path / "other")
    assert COLOURED.search(with_colours)


def test_a_narrow_terminal_is_told_row_by_row(problem: Path, bert: Path, tmp_path: Path) -> None:
    asked = ("--methods", "head,full", "--max-length", "16", "--out", tmp_path / "memory", "--no-measure")
    said = on_a_terminal("memory", problem, "--model", bert, *asked, COLUMNS="40")
    assert "…" not in said
    lines = said.replace("\r", "").splitlines()
    assert lines.count("  how: predicted") == 2
    assert sum(line.startswith("  peak in backward: ") for line in lines) == 2


def test_without_a_terminal_a_run_says_little(problem: Path, bert: Path, tmp_path: Path) -> None:
    asked = ("--method", "full", "--epochs", "3", "--max-length", "16", "--device", "cpu", "--out", tmp_path / "out")
    command = [sys.executable, "-m", "welltuned", "train", problem, "--model", bert, *asked]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    assert "\r" not in done.stderr + done.stdout
    assert "\x1b" not in done.stderr + done.stdout
    assert len(done.stderr.splitlines()) <= 3 + 9  # a line an epoch, and nine more


def test_a_bar_moves_on_a_terminal(problem: Path, bert: Path, tmp_path: Path) -> None:
    asked = ("--method", "full", "--epochs", "2", "--max-length", "16", "--device", "cpu", "--out", tmp_path / "out")
    said = on_a_terminal("train", problem, "--model", bert, *asked)
    assert MOVED[0] in said

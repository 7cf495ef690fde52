"""The same command started several times at once: one works, the others leave or wait, and the results are those of
one alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from welltuned.record.locks import LOCK

from .conftest import Command

QUICK = ("--epochs", "1", "--max-length", "16", "--device", "cpu")
MORE: dict[str, tuple[str, ...]] = {
    "train": ("--method", "head", *QUICK),
    "compare": ("--methods", "head,prefix:length=4", *QUICK),
    "search": ("--method", "head", "--grid", "lr=1e-3,1e-2", *QUICK),
    "pretrain": ("--steps", "4", "--batch-size", "4", "--max-length", "16", "--device", "cpu"),
    "tokenizer train": ("--vocab-size", "200"),
}
CONTENDERS = 10


def asked(command: str, problem: Path, bert: Path, out: Path) -> list[str]:
    model = [] if command == "tokenizer train" else ["--model", str(bert)]
    return [*command.split(), str(problem), *model, *MORE[command], "--out", str(out)]


def started(arguments: list[str], *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "welltuned", *arguments, *more],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )


def results(out: Path) -> dict[str, str]:
    """Every file by name; of records what does not tell of time, machine or folder."""
    found = {}
    for path in sorted(out.rglob("*")):
        if path.suffix in (".safetensors", ".txt") or path.name == "tokenizer.json":
            found[str(path.relative_to(out))] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name in ("record.json", "results.json"):
            found[str(path.relative_to(out))] = json.dumps(_timeless(json.loads(path.read_text())))
        elif path.is_file():
            found[str(path.relative_to(out))] = ""
    return found


def _timeless(value: Any) -> Any:
    told = ("seconds", "timings", "command", "folder", "openings", "memory", "budget", "provenance", "cost", "verdict",
            "utilisation")  # fmt: skip
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items() if not any(part in name for part in told)}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_one_is_refused_one_waits_and_the_holder_is_killed(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert welltuned(*asked("train", problem, bert, alone)).code == 0
    arguments = asked("train", problem, bert, out)
    first = started(arguments)
    until((out / LOCK).exists)
    first.send_signal(signal.SIGSTOP)  # so that it is still there when the others come
    waiting = started(arguments, "--wait")
    second = welltuned(*arguments)
    assert second.code == 4
    assert f"process {first.pid} on this machine" in second.err
    assert "mend: " in second.err
    assert waiting.stderr is not None
    assert f"waiting for process {first.pid} on this machine" in waiting.stderr.readline()
    first.kill()
    first.communicate()
    complaints = waiting.communicate()[1]
    assert waiting.returncode == 0, complaints
    assert results(out) == results(alone)


@pytest.mark.slow
@pytest.mark.parametrize("command", MORE)
def test_ten_at_once(command: str, welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "results"
    assert welltuned(*asked(command, problem, bert, alone)).code == 0
    for more in ((), ("--wait",)):
        out = tmp_path / f"out{len(more)}" / "results"
        processes = [started(asked(command, problem, bert, out), *more) for _ in range(CONTENDERS)]
        told = [(process.communicate()[1], process.returncode) for process in processes]
        codes = Counter(code for _, code in told)
        assert set(codes) <= ({0} if more else {0, 4}), told
        assert codes[0] >= 1
        assert not any("Traceback" in complaints for complaints, _ in told)
        assert results(out) == results(alone)
        print(f"{command} {' '.join(more)}: {codes[0]} ended, {codes[4]} left with 4")

"""A disk that fails: exit code 4, a message that can be acted on, finished runs kept, and the same command goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from families import FAMILIES, config_of

from welltuned import methods
from welltuned.memory import bytes_stored
from welltuned.plan import candidate
from welltuned.pretrained import Pretrained
from welltuned.spec import DataSpec, ModelSpec

from .conftest import Command

POINTS = (0, 1_000, 4_096, 5_000, 7_000, 9_000, 20_000, 60_000, 120_000, 126_000, 128_000)
"""Largest sizes in bytes that a file may grow to: below the first file written, and above the weights."""
QUICK = ("--epochs", "1", "--max-length", "16", "--seeds", "0")

SCRIPT = """
import json, resource, sys
from pathlib import Path
from welltuned.cli import _run
from welltuned.engine import precision

request = json.load(sys.stdin)
out = Path(request["out"])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

def run(limit, methods):
    sys.stderr.seek(0), sys.stderr.truncate()
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if limit is None else limit, hard))
    code = _run([*request["command"], "--methods", methods])
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    return code, sys.stderr.getvalue()

def left():
    return {str(path.relative_to(out)): path.read_bytes().hex() for path in sorted(out.rglob("*")) if path.is_file()}

import io
spoken, sys.stderr = sys.stderr, io.StringIO()
told = [run(None, "head")]
# The card tells of the comparison, which is another from here on.
kept = {name: content for name, content in left().items()
        if name.startswith("runs/head") and not name.endswith("README.md")}
for limit in request["points"]:
    code, said = run(limit, "head,prefix:length=4")
    now = left()
    told.append((code, said, all(now.get(name) == content for name, content in kept.items()),
                 [name for name in now if "/." in name or name.startswith(".")]))
told.append(run(None, "head,prefix:length=4"))
json.dump(told, sys.stdout)
"""


def test_a_disk_that_is_full_at_every_point(problem: Path, bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = {
        "out": str(out),
        "points": POINTS,
        "command": ["compare", str(problem), "--model", str(bert), "--out", str(out), *QUICK, "--device", "cpu"],
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    first, *full, last = json.loads(done.stdout.splitlines()[-1])
    assert first[0] == 0, first[1]
    for limit, (code, said, kept, drafts) in zip(POINTS, full, strict=True):
        assert code == 4, f"{limit}: {said}"
        error = said[said.rindex("\nerror: ") + 1 :]
        assert "File too large" in error, f"{limit}: {said}"
        assert str(out) in error, f"{limit}: {said}"
        assert "mend: " in error
        assert "Traceback" not in said
        assert kept, f"{limit}: a finished run was changed"
        assert not drafts, f"{limit}: {drafts}"
        print(f"{limit:>8,} bytes: {error.splitlines()[0].replace(str(out), 'OUT')}")
        assert "finished before, its record is read" in said, f"{limit}: a finished run was done again"
    assert last[0] == 0, last[1]
    assert (out / "report.html").is_file()


def test_room_is_looked_for_before_anything_is_trained(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def nearly_full(path: Path) -> Any:
        asked.append(Path(path))
        return shutil._ntuple_diskusage(10**9, 10**9 - 5_000_000, 5_000_000)  # type: ignore[attr-defined]

    out = tmp_path / "new" / "out"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", nearly_full)
        done = welltuned("compare", problem, "--model", bert, "--out", out, *QUICK, "--methods", "head,prefix:length=4")
        assert done.code == 4, done.err
        assert "the disk has 5 MB left" in done.err
        assert str(out) in done.err
        assert "the same command goes on" in done.err
        assert "epoch" not in done.err
        assert asked == [out]
        alone = welltuned("compare", problem, "--model", bert, "--out", out, *QUICK, "--methods", "head")
    assert alone.code == 0, alone.err


@pytest.mark.parametrize("method", methods.names())
@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_what_a_run_takes_is_foretold(family: str, method: str, model_folder: Callable[[str], Path]) -> None:
    """The closed form, against the numbers of a model counted by hand."""
    folder = model_folder(family)
    config = config_of(FAMILIES[family], FAMILIES[family].tokenizer())
    origin = Pretrained(str(folder), folder, config, None, "")
    spec = candidate(method, {}).run(DataSpec(source="x"), ModelSpec(name=str(folder)), 0, compute())
    few, more = (bytes_stored(spec, origin, 2, rows) for rows in (0, 1_000))
    assert more - few == 1_000 * (4 * 2 + 8)
    parameters = origin.shape.with_head("mean", 2).parameters
    trained = sum(methods.build(spec.method).ledger(origin.shape).values())
    arrays = 4 * (parameters + (0 if method == "full" else trained))
    words = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".json", ".txt"))
    assert few == arrays + words + (4 << 20)


def compute() -> Any:
    from welltuned.spec import ComputeSpec

    return ComputeSpec(device="cpu", precision="fp32")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses(
    number: int, welltuned: Command, problem: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Full, read-only, without permission, over quota, broken: met before the training."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path))

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    done = welltuned("train", problem, "--model", bert, "--out", tmp_path / "out", *QUICK[:4], "--method", "head")
    assert done.code == 4, done.err
    assert os.strerror(number) in done.err
    assert "epoch" not in done.err


MORE = {
    "train": ("--method", "head"),
    "compare": ("--methods", "head"),
    "search": ("--method", "head", "--grid", "lr=1e-3,1e-2"),
}


@pytest.mark.parametrize("command", MORE)
def test_a_folder_that_vanishes_while_a_run_goes_on(
    command: str, welltuned: Command, problem: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from welltuned import subject
    from welltuned.checkpoints import carry_through

    out = tmp_path / "out"

    def gone(*arguments: Any) -> None:
        carry_through(*arguments)
        shutil.rmtree(out)

    asked = [command, problem, "--model", bert, "--out", out, *QUICK[:4], *MORE[command]]
    with monkeypatch.context() as patch:
        patch.setattr(subject, "carry_through", gone)
        done = welltuned(*asked)
    assert done.code == 4, done.err
    assert "the folder of the results is gone" in done.err
    assert not out.exists(), "nothing is written where the folder no longer is"
    assert welltuned(*asked).code == 0

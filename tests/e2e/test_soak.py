"""The short form of ``make soak``, and that the page says what its long form found."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("soak", ROOT / "benchmarks" / "soak.py")
assert _spec is not None
assert _spec.loader is not None
soak = importlib.util.module_from_spec(_spec)
sys.modules["soak"] = soak
_spec.loader.exec_module(soak)


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform != "linux", reason="it forks and kills")
def test_killed_runs_go_on_and_end_alike(tmp_path: Path) -> None:
    found = tmp_path / "soak.json"
    asked = ["--only", "lora,pretrain", "--kills", "4", "--points", "1", "--disk", "2", "--out", str(found)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "soak.py"), *asked],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    document = json.loads(found.read_text())
    assert not soak.faults(document)
    assert [one["kills"] for one in document["random"].values()] == [2, 2]
    assert [one["equal"] for one in document["random"].values()] == [2, 2]
    assert all(one["equal"] == one["kills"] == 1 for one in document["points"].values())
    assert document["damage"]["lora"]["found"] > 700


def test_the_page_says_what_was_found() -> None:
    page = soak.PAGE.read_text()
    document = json.loads(soak.RESULTS.read_text())
    assert soak.filled(page, document) == page
    assert not soak.faults(document)


def test_faults_are_seen() -> None:
    count = soak.Count()
    count.judge("x", 1, soak.Attempt(0, "", 1.0), ROOT / "nowhere", {"model": "other"})
    assert (count.kills, count.resumed, count.equal) == (1, 1, 0)
    assert "differs in" in count.faults[0]

"""Work done by one side in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from work import Work

ROOT = Path(__file__).resolve().parents[2]


def run(side: str, work: Work) -> dict[str, Any]:
    """What ``ours`` or ``peer`` took for it; the cache on disk is empty at the start."""
    script = Path(__file__).with_name(f"{side}.py")
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"OMP_NUM_THREADS": str(work.threads), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, str(script), json.dumps(asdict(work))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found

"""Work done by one side in a process of its own, and where it is done."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import torch
from work import Work

from welltuned.record import installed_versions, processor_name

ROOT = Path(__file__).resolve().parents[2]


def here(device: str = "cpu") -> dict[str, Any]:
    """Hardware and versions, for a record; of a GPU its name and memory too."""
    machine = {
        "processor": processor_name(),
        "cores": psutil.cpu_count() or 1,
        "memory_bytes": psutil.virtual_memory().total,
    }
    if device == "cuda":
        known = torch.cuda.get_device_properties(0)
        machine |= {"device": known.name, "device_memory_bytes": known.total_memory}
    return {
        "machine": machine,
        "python": platform.python_version(),
        "versions": installed_versions(),
    }


def run(side: str, work: Work) -> dict[str, Any]:
    """What ``ours`` or ``peer`` took for it; the cache on disk is empty at the start."""
    script = Path(__file__).with_name(f"{side}.py")
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "XDG_CACHE_HOME": cache, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"OMP_NUM_THREADS": str(work.threads), "PYTHONPATH": str(ROOT)}
        if work.device == "cuda":  # of several GPUs the peer would take all, and ours the first
            environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
        command = [sys.executable, str(script), json.dumps(asdict(work))]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found

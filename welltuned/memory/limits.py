"""How much memory there is to take: the device's, the machine's, and the container's that we may run in."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux tells a process its container's limit (control groups, version 2)."""


def available(device: torch.device) -> int:
    """Bytes that could be taken now on a device without pushing anything out."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free)
    return int(max(0, min(psutil.virtual_memory().available, _left_in_container(CONTAINER))))


def resident() -> int:
    """Bytes of main memory that this process holds."""
    return int(psutil.Process().memory_info().rss)


def _left_in_container(folder: Path) -> int:
    """What the container's limit leaves; files that the system keeps at hand count as free."""
    try:
        limit = int((folder / "memory.max").read_text())
        used = int((folder / "memory.current").read_text())
        parts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # no container, or "max": no limit
        return 1 << 62
    return limit - used + int(parts.get("inactive_file", 0))

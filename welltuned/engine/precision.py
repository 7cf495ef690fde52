"""Whether bf16 products are faster than fp32 ones on this processor: measured, since its flags do not tell.

Some processors announce bf16 instructions and run them at half the speed of fp32, others at four times. The answer is
kept in the user's cache, so that the same command settles on the same arithmetic every time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from pathlib import Path

import torch
from torch import nn

from welltuned.addresses import cache_folder
from welltuned.errors import ResourceError
from welltuned.record import processor_name, write_json

WORTH = 1.2
"""bf16 must be so many times faster, or its rounding is not worth it."""
SHAPE = (1024, 384, 1536)
REPEATS = 7


def has_bf16_instructions() -> bool:
    """Whether the processor announces them; without, bf16 is imitated and always slow."""
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "amx_tile"))


def bf16_is_faster() -> bool:
    """The answer for this processor and this torch, measured on first use."""
    if not has_bf16_instructions():
        return False
    path = _cache()
    try:
        return bool(json.loads(path.read_text())["speedup"] >= WORTH)
    except (OSError, ValueError, KeyError, TypeError):
        found = speedup()
    with contextlib.suppress(ResourceError):  # without a cache the next command measures again
        write_json(path, {"processor": processor_name(), "torch": torch.__version__, "speedup": found})
    return found >= WORTH


def speedup() -> float:
    """How many times faster a feed-forward part learns in bf16 than in fp32: the shortest of a few steps, in turns.

    Casts of weights and gradients are part of the price, so a whole forward and backward is timed.
    """
    rows, width, wide = SHAPE
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        layers = nn.Sequential(nn.Linear(width, wide), nn.GELU(), nn.Linear(wide, width))
        x = torch.ones(rows, width, requires_grad=True)
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(REPEATS):
        for reduced, taken in times.items():
            started = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=reduced):
                layers(x).sum().backward()
            taken.append(time.perf_counter() - started)
    return min(times[False]) / min(times[True])


def _cache() -> Path:
    """A file for this processor and torch in the user's cache."""
    key = hashlib.sha256(f"{processor_name()} {torch.__version__}".encode()).hexdigest()[:12]
    return cache_folder() / f"bf16-{key}.json"

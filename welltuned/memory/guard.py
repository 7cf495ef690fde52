"""A process that stops itself before the system does, which would take whatever it likes and save nothing."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import torch
from torch import nn

from welltuned.memory.limits import available, resident

SHARE = 0.01
"""Of the machine's memory, what must be left to it."""
PAUSE = 0.01
"""Seconds between two looks at least."""
MIB = 2**20


class NearlyOutError(MemoryError):
    """Going on would take memory that is not there."""


class Guard:
    """Looks at the memory before each block of an encoder, at most a hundred times a second; for main memory alone.

    Args:
        limit: bytes that the process may hold; None for what the machine, or the container, has.
        device: where training goes on.
    """

    def __init__(self, limit: int | None, device: torch.device) -> None:
        self._limit, self._cpu = limit, torch.device("cpu")
        self._spare = int(SHARE * psutil.virtual_memory().total)
        self._watches = device.type == "cpu"
        self._next = 0.0

    @contextmanager
    def watching(self, whole: nn.Module, blocks: Iterable[nn.Module]) -> Iterator[None]:
        """Within this block a forward pass of the whole stops where the memory comes to its end.

        Raises:
            NearlyOutError: from within the pass.
        """
        modules = [whole, *blocks] if self._watches else []
        hooks = [module.register_forward_pre_hook(self._before) for module in modules]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _before(self, module: nn.Module, inputs: Any) -> None:  # noqa: ARG002
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PAUSE
        if self.over():
            release()  # what was freed and kept by the allocator may be enough
            over = self.over()
            if over:
                raise NearlyOutError(over)

    def over(self) -> str:
        """What is over, in words; empty where nothing is."""
        if self._limit is not None:
            held = resident()
            return f"the process holds {held / MIB:,.0f} of {self._limit / MIB:,.0f} MiB" if held > self._limit else ""
        left = available(self._cpu)
        return f"the machine has {left / MIB:,.0f} MiB left" if left < self._spare else ""


def release() -> None:
    """Give freed memory back to the system, and a device's to its allocator."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)

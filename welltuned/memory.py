"""Bytes of a training step: what each part holds, as the allocator saw it.

AdamW in fp32 keeps 4 bytes a weight, 4 bytes a gradient and 8 bytes of optimizer state for each trained parameter;
frozen parameters cost their 4 bytes alone. Activations depend on method, rows and tokens, and are measured.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from welltuned.batches import Batch, TokenizedSplit
from welltuned.encoders import Encoder
from welltuned.engine import Compute
from welltuned.errors import ResourceError
from welltuned.record import Memory

ADAM_BYTES = 8


@dataclass(frozen=True)
class Allocated:
    """Bytes allocated above the start of a piece of work: held at its end, and at the highest moment."""

    held: int
    peak: int


@contextmanager
def out_of_memory_told(what: str) -> Iterator[None]:
    """Turn the allocators' own errors into one that says what did not fit.

    Raises:
        ResourceError: the device's or the system's memory did not suffice.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError | torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise ResourceError(
            f"{what} does not fit the memory",
            why=next(iter(str(error).splitlines()), type(error).__name__),
            mend="use a smaller --batch-size or --max-length",
        ) from error


def longest_batch(split: TokenizedSplit, rows: int) -> Batch:
    """The ``rows`` longest rows of a split, as one batch: the worst case of an epoch."""
    return split.batch(np.argsort(-split.lengths, kind="stable")[:rows])


def measure_step(encoder: Encoder, batch: Batch, compute: Compute) -> Memory:
    """Run one forward and backward on a batch and account for every byte; weights stay as they are.

    Args:
        encoder: with its method attached; left without gradients, in training mode.
        batch: [B, T] rows with labels.
    """
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    weights = sum(parameter.nbytes for parameter in encoder.parameters())
    gradients = sum(parameter.nbytes for parameter in trained)
    optimizer = sum(parameter.numel() * ADAM_BYTES for parameter in trained)
    encoder.train()
    with torch.random.fork_rng():
        forward, backward = _measure(encoder, batch.to(compute.device), compute)
    for parameter in trained:
        parameter.grad = None
    peak = weights + optimizer + max(forward.peak, forward.held + backward.peak, gradients)
    return Memory(
        weights=weights,
        gradients=gradients,
        optimizer=optimizer,
        activations=forward.held,
        peak=peak,
        rows=len(batch),
        tokens=int(batch.mask.shape[1]),
        how="CUDA allocator" if compute.device.type == "cuda" else "every tensor's storage, followed through one step",
    )


def _measure(encoder: Encoder, batch: Batch, compute: Compute) -> tuple[Allocated, Allocated]:
    """Forward and backward of the mean cross-entropy, each with the bytes it added.

    The forward's ``held`` is what waits for backward; the backward's ``peak`` is counted from there.
    """
    loss: list[Tensor] = []

    def forward() -> None:
        with compute.arithmetic():
            logits = encoder(batch)
        assert batch.labels is not None
        loss.append(nn.functional.cross_entropy(logits.float(), batch.labels))

    def backward() -> None:
        loss[0].backward()

    if compute.device.type == "cuda":
        return _cuda(forward), _cuda(backward)
    meter = StorageMeter()
    existing = [*encoder.parameters(), *encoder.buffers()]
    meter.ignore([*existing, *(value for value in vars(batch).values() if isinstance(value, Tensor))])
    with meter:
        forward()
        after_forward = Allocated(meter.held, meter.peak)
        meter.peak = meter.held
        backward()
    return after_forward, Allocated(meter.held - after_forward.held, meter.peak - after_forward.held)


def _cuda(work: Callable[[], None]) -> Allocated:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return Allocated(torch.cuda.memory_allocated() - start, torch.cuda.max_memory_allocated() - start)


class StorageMeter(TorchDispatchMode):
    """Counts the bytes of the storages that come into being while it is active, until they are freed.

    Attributes:
        held: bytes alive now.
        peak: the most that was alive at one moment.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._seen: set[int] = set()

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Leave out storages that exist already."""
        self._seen.update(tensor.untyped_storage()._cdata for tensor in tensors)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves((args, result)):
            if isinstance(value, Tensor):
                self._follow(value.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        self._seen.add(key)
        nbytes = storage.nbytes()
        self.held += nbytes
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._freed, key, nbytes)

    def _freed(self, key: int, nbytes: int) -> None:
        self._seen.discard(key)
        self.held -= nbytes

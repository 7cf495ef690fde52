"""Bytes of a real training step, as the allocator reported them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from welltuned.batches import Batch, TokenizedSplit
from welltuned.encoders import Encoder
from welltuned.engine import Compute
from welltuned.errors import ResourceError
from welltuned.memory.states import states
from welltuned.record import Memory

os.environ.setdefault("KINETO_LOG_LEVEL", "99")
"""Torch's profiler announces each start and stop on stderr unless told otherwise before its first use."""


TOLD = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "std::bad_alloc")
"""How allocators of main memory say that they gave up."""


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
        if not is_out_of_memory(error):
            raise
        raise ResourceError(
            f"{what} does not fit the memory",
            why=next(iter(str(error).splitlines()), type(error).__name__),
            mend="use a smaller --batch-size or --max-length",
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is the system's or the device's allocator giving up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in TOLD)


def longest_batch(split: TokenizedSplit, rows: int) -> Batch:
    """The ``rows`` longest rows of a split, as one batch: the worst case of an epoch."""
    return split.batch(np.argsort(-split.lengths, kind="stable")[:rows])


def measure_step(
    encoder: Encoder, batch: Batch, compute: Compute, optimizer: torch.optim.Optimizer | None = None
) -> Memory:
    """Run one forward and backward on a batch and account for every byte.

    Args:
        encoder: with its method attached; left without gradients, in training mode.
        batch: [B, T] rows with labels.
        optimizer: takes its step too, and that is measured; without one the weights stay as they are, and the
            step's peak is what it needs at least: weights, gradients and optimizer state.
    """
    parts = states(encoder)
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    encoder.train()
    if optimizer is not None:
        _make_state(encoder, batch, compute, optimizer)
    with torch.random.fork_rng():
        forward, backward = _forward_and_backward(encoder, batch.to(compute.device), compute)
    step = Allocated(0, 0) if optimizer is None else _allocated(optimizer.step, compute.device)
    for parameter in trained:
        parameter.grad = None
    standing = parts.weights + parts.optimizer
    peaks = {
        "forward": standing + forward.peak,
        "backward": standing + forward.held + backward.peak,
        "step": standing + parts.gradients + step.peak,
    }
    return Memory(
        weights=parts.weights,
        gradients=parts.gradients,
        optimizer=parts.optimizer,
        activations=forward.held,
        **peaks,
        peak=max(peaks.values()),
        rows=len(batch),
        tokens=int(batch.mask.shape[1]),
        how="the CUDA allocator" if compute.device.type == "cuda" else "the CPU allocator's events in one real step",
    )


def _make_state(encoder: Encoder, batch: Batch, compute: Compute, optimizer: torch.optim.Optimizer) -> None:
    """One step on a single row, so that the optimizer has its state."""
    single = {name: value[:1] for name, value in vars(batch).items() if value is not None}
    _loss(encoder, Batch(**{**vars(batch), **single}).to(compute.device), compute).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def _loss(encoder: Encoder, batch: Batch, compute: Compute) -> Tensor:
    with compute.arithmetic():
        logits = encoder(batch)
    assert batch.labels is not None
    return nn.functional.cross_entropy(logits.float(), batch.labels)


def _forward_and_backward(encoder: Encoder, batch: Batch, compute: Compute) -> tuple[Allocated, Allocated]:
    """Forward and backward of the mean cross-entropy, each with the bytes it added.

    The forward's ``held`` is what waits for backward; the backward's ``peak`` is counted from there.
    """
    loss: list[Tensor] = []
    forward = _allocated(lambda: loss.append(_loss(encoder, batch, compute)), compute.device)
    backward = _allocated(lambda: loss[0].backward(), compute.device)
    return forward, backward


def _allocated(work: Callable[[], object], device: torch.device) -> Allocated:
    return _cuda(work) if device.type == "cuda" else _cpu(work)


def _cuda(work: Callable[[], object]) -> Allocated:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return Allocated(torch.cuda.memory_allocated() - start, torch.cuda.max_memory_allocated() - start)


def _cpu(work: Callable[[], object]) -> Allocated:
    """The running sum of every allocation and release that the CPU allocator reported."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as watched:
        work()
    kineto = watched.profiler.kineto_results if watched.profiler is not None else None
    events = [] if kineto is None else [event for event in kineto.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    held = np.cumsum([0, *(event.nbytes() for event in events)])
    return Allocated(int(held[-1]), int(held.max()))

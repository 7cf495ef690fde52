"""Which share of what the machine's matrix products allow the steps of a training reached: model FLOPs utilization.

Chowdhery et al. 2022, "PaLM: Scaling Language Modeling with Pathways", appendix B: the FLOP that the mathematics of a
training needs, a second, over the FLOP a second that the hardware can do. Two things differ here. The ceiling is
measured, by a product on the run's own device in its own precision, where the paper takes the vendor's peak; and only
gradients that are needed count, as not every method trains everything.

The closed form, for N tokens without padding, in rows of T, a prompt's positions among them::

    a linear map of in by out      2 * in * out * N     forward
                                   as much              for the gradient of its input, where that needs one
                                   as much              for that of its weight, where it trains
    attention of width d, a row    2 * 2 * T * T * d    forward: scores, and the mean of the values
                                   2 * T * T * d        for the gradient of queries, of keys, of values, of the weights

Where attention sees so many tokens to either side only, the pairs that it sees stand for T * T. A multiplication and an
addition are two operations. Embeddings, norms, activations, dropout, the head and the optimizer are not counted: they
are no products of matrices, or less than a hundredth of them. What a step does again, where it did not fit the memory,
and what it does for padding takes time and counts nothing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor, nn

from welltuned.batches import Ints, TokenizedSplit
from welltuned.encoders import Encoder
from welltuned.engine import Compute
from welltuned.memory import is_out_of_memory
from welltuned.record import Utilisation

PRODUCTS = {"cpu": (4096, 384, 1536), "cuda": (8192, 2048, 8192)}
"""The feed-forward product that stands for what a device can do: tokens, width, width inside."""
CALLS = {"cpu": 1, "cuda": 10}
"""Products between two looks at the clock; a GPU is waited for before each."""
LEAST = 3
"""Looks, however long they take."""
SECONDS = 0.06


def utilisation(
    encoder: Encoder, rows: TokenizedSplit, epochs: int, seconds: float, compute: Compute
) -> Utilisation | None:
    """What the steps of a training used of the machine.

    Blocks from the encoder's frontier on count; what lies below is constant, and no step needs it.

    Args:
        encoder: as it was trained.
        rows: of an epoch.
        epochs: that were trained.
        seconds: that their steps took, and nothing else.

    Returns:
        None where no block is above the frontier, where the closed form does not hold for the encoder, and where the
        memory does not suffice to measure.
    """
    if encoder.frontier >= encoder.shape.layers:
        return None
    try:
        flop = needed(encoder, rows, compute, encoder.frontier)
        return None if flop is None else Utilisation(flop=flop * epochs, seconds=seconds, ceiling=ceiling(compute))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None


def needed(encoder: Encoder, rows: TokenizedSplit, compute: Compute, lowest: int = 0) -> int | None:
    """FLOP of one epoch of training on these rows, by the closed form of this module.

    Which gradients are needed is asked of autograd, on the shortest row in evaluation mode: so of the lowest trained
    block only what comes after its first trained tensor hands a gradient down, whatever a method trains. Random
    streams, weights and mode stay as they are.

    Args:
        encoder: ready for ``compute``, its method attached.
        lowest: the first block that counts.

    Returns:
        None where a linear map of a block is used otherwise than once for each token, as those of DeBERTa are.
    """
    lengths = rows.lengths.astype(np.int64) + encoder.prompt_length
    reaches = encoder.shape.reaches or (None,) * encoder.shape.layers
    flop, tokens = 0, int(lengths.sum())
    for seen, reach in zip(_seen(encoder, rows, compute, lowest), reaches[lowest:], strict=True):
        if any(calls != 1 for calls in seen.calls.values()):
            return None
        flop += seen.linear * tokens + seen.attention * encoder.shape.hidden * _pairs(lengths, reach)
    return flop


def _pairs(lengths: Ints, reach: int | None) -> int:
    """Pairs of a token and one that it sees, itself included, in rows of these lengths."""
    near = lengths if reach is None else np.minimum(lengths, reach)
    return int((lengths * (2 * near + 1) - near * (near + 1)).sum())


@dataclass
class _Seen:
    """What one row tells of a block.

    Attributes:
        linear: FLOP a token of its linear maps.
        calls: how often each of them was used.
        wanted: of what queries, keys and values stand for, those that need a gradient.
    """

    linear: int = 0
    calls: Counter[nn.Module] = field(default_factory=Counter)
    wanted: set[str] = field(default_factory=set)

    @property
    def attention(self) -> int:
        """FLOP a pair of tokens and unit of width."""
        of_weights = bool(self.wanted & {"query", "key"})
        return 2 * (2 + len(self.wanted & {"query", "key", "value"}) + of_weights)

    def linear_map(self, module: nn.Linear, given: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook of a linear map."""
        self.calls[module] += 1
        trains = module.weight.requires_grad and output.requires_grad
        self.linear += 2 * module.in_features * module.out_features * (1 + given[0].requires_grad + trains)

    def matrix(self, roles: frozenset[str], _: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook of what computes these roles, an adapter and all."""
        if output.requires_grad:
            self.wanted |= roles


def _seen(encoder: Encoder, rows: TokenizedSplit, compute: Compute, lowest: int) -> list[_Seen]:
    """Of each block from ``lowest`` on, what the shortest row tells."""
    tokens = replace(rows, features=None, states=None)
    batch = tokens.batch(np.array([int(rows.lengths.argmin())])).to(compute.device)
    with _watched(encoder, lowest) as found, torch.enable_grad(), compute.arithmetic():
        encoder(batch)
    return found


@contextmanager
def _watched(encoder: Encoder, lowest: int) -> Iterator[list[_Seen]]:
    """Within it the encoder is in evaluation mode, and what goes through its blocks is noted."""
    found, hooks, mode = [], [], encoder.training
    for block in encoder.blocks[lowest:]:
        seen = _Seen()
        found.append(seen)
        hooks += [one.register_forward_hook(seen.linear_map) for one in block.modules() if isinstance(one, nn.Linear)]
        for one in encoder.shape.matrices:
            hooks.append(block.get_submodule(one.path).register_forward_hook(partial(seen.matrix, one.roles)))
    try:
        encoder.eval()
        yield found
    finally:
        for hook in hooks:
            hook.remove()
        encoder.train(mode)


def ceiling(compute: Compute, seconds: float = SECONDS) -> float:
    """FLOP a second of the fastest of a few feed-forward products, with the threads that torch is set to use.

    Measured once a process for each device, precision and number of threads. Random streams stay as they are.

    Args:
        seconds: how long it looks for the fastest; a slow device takes longer.
    """
    return _fastest(compute.device.type, compute.precision, torch.get_num_threads(), seconds)


@cache
def _fastest(kind: str, precision: str, _threads: int, seconds: float) -> float:
    tokens, width, inside = PRODUCTS[kind]
    number = torch.bfloat16 if precision == "bf16" else torch.float32
    random = torch.Generator(kind).manual_seed(0)
    states, weight = (
        torch.randn(*size, device=kind, generator=random).to(number) for size in ((tokens, width), (width, inside))
    )
    out = torch.empty(tokens, inside, device=kind, dtype=number)

    def multiply(calls: int) -> float:
        started = time.perf_counter()
        for _ in range(calls):
            torch.mm(states, weight, out=out)
        if kind == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / calls

    calls, taken = CALLS[kind], list[float]()
    multiply(1)  # chooses its kernel, and touches its memory
    ended = time.perf_counter() + seconds
    while len(taken) < LEAST or time.perf_counter() < ended:
        taken.append(multiply(calls))
    return 2 * tokens * width * inside / min(taken)

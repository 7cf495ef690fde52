"""Dropout from raw random bytes.

Srivastava et al. 2014: y = x * m / q with m ~ Bernoulli(q) for each element. Here m = [byte < t] with a uniform
byte, so the keep rate q = t / 256 is the nearest 256th, and the scale is 1 / q exactly. Torch's CPU Bernoulli
sampler costs as much as the matrix product beside it; raw words from numpy's SFC64 cost a small part of that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from welltuned.joined import by_part

Stream = np.random.Generator

_stream = np.random.Generator(np.random.SFC64(0))


def seed_dropout(seed: int) -> None:
    """Start the byte stream anew from a seed."""
    global _stream
    _stream = np.random.Generator(np.random.SFC64(seed))


def dropout_state(stream: Stream | None = None) -> dict[str, Any]:
    """Where the byte stream stands, or this one, as plain numbers."""
    state: dict[str, Any] = dict((stream or _stream).bit_generator.state)
    return {**state, "state": {"state": [int(word) for word in state["state"]["state"]]}}


def restore_dropout(state: dict[str, Any]) -> None:
    """Let the byte stream go on from where :func:`dropout_state` found it."""
    words = np.array(state["state"]["state"], np.uint64)
    _stream.bit_generator.state = {**state, "state": {"state": words}}


def dropout_stream(state: dict[str, Any]) -> Stream:
    """A stream of its own that goes on from where :func:`dropout_state` found one."""
    found = np.random.Generator(np.random.SFC64(0))
    with drawing_from(found):
        restore_dropout(state)
    return found


@contextmanager
def drawing_from(stream: Stream) -> Iterator[None]:
    """Within this block dropout draws from this stream."""
    global _stream
    before, _stream = _stream, stream
    try:
        yield
    finally:
        _stream = before


def kept_of_256(p: float) -> int:
    """t, the number of byte values out of 256 that keep an element, for the drop rate ``p``."""
    return round((1 - p) * 256)


def draw_mask(keep: Tensor, threshold: int) -> None:
    """Fill a contiguous uint8 tensor of main memory with 1 at probability threshold / 256, else 0."""
    count = keep.numel()
    words = np.asarray(_stream.bit_generator.random_raw(-(-count // 8)))
    np.less(words.view(np.uint8)[:count], threshold, out=keep.view(-1).numpy().view(np.bool_))


@torch.library.custom_op("welltuned::byte_mask", mutates_args=())
def _byte_mask(x: Tensor, threshold: int) -> Tensor:
    """1 with probability threshold / 256 for each element, else 0, in the shape of ``x``."""
    keep = torch.empty(x.shape, dtype=torch.uint8)
    draw_mask(keep, threshold)
    return keep


@_byte_mask.register_fake
def _(x: Tensor, threshold: int) -> Tensor:  # noqa: ARG001
    return torch.empty(x.shape, dtype=torch.uint8, device=x.device)


class _ByteDropout(torch.autograd.Function):
    """x * m / q, the same m in backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: int) -> Tensor:
        keep = _byte_mask(x, threshold)
        ctx.save_for_backward(keep)
        ctx.scale = 256 / threshold
        return cast(Tensor, keep.to(x.dtype).mul_(x).mul_(ctx.scale))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (keep,) = ctx.saved_tensors
        return keep.to(gradients[0].dtype).mul_(gradients[0]).mul_(ctx.scale), None


def byte_dropout(x: Tensor, p: float) -> Tensor:
    """Dropout of a CPU tensor of any shape with drop rate ``p`` (rounded to a 256th)."""
    threshold = kept_of_256(p)
    if threshold >= 256:
        return x
    if threshold <= 0:
        return x * 0
    return cast(Tensor, _ByteDropout.apply(x, threshold))


class ByteDropout(nn.Dropout):
    """``nn.Dropout`` with its mask from :func:`byte_dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        return by_part(lambda _, x: byte_dropout(x, self.p), input) if self.training else input


class DropoutByPart(nn.Dropout):
    """``nn.Dropout`` that does the rows of each training for itself, where those of several stand end to end."""

    def forward(self, input: Tensor) -> Tensor:
        """Any shape in, the same shape out."""
        return by_part(lambda _, x: super(DropoutByPart, self).forward(x), input) if self.training else input


def use_byte_dropout(model: nn.Module) -> None:
    """Swap every ``nn.Dropout`` of a model for :class:`ByteDropout`, its mode and rate kept."""
    _swap(model, ByteDropout)


def use_dropout_by_part(model: nn.Module) -> None:
    """Swap every ``nn.Dropout`` of a model for :class:`DropoutByPart`, its mode and rate kept."""
    _swap(model, DropoutByPart)


def _swap(model: nn.Module, kind: type[nn.Dropout]) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                swapped = kind(child.p)
                swapped.training = child.training
                setattr(module, name, swapped)

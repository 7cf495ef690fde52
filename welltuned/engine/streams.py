"""The random streams of a training: seeded, taken, put back, and lent for a part of the work.

Dropout draws from raw bytes of its own on a CPU (:mod:`welltuned.engine.dropout`), and elsewhere from torch's stream
of the device. Initialisation draws from torch's stream of the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from welltuned.engine.dropout import drawing_from, dropout_state, dropout_stream, restore_dropout, seed_dropout

RandomState = tuple[dict[str, Tensor], dict[str, Any]]
"""Where all streams stand: tensors of bytes, and plain numbers."""
TORCH, BYTES = "torch", "dropout"


def seed_everything(seed: int) -> None:
    """Seed initialisation, torch's dropout and the byte dropout; the data order has its own seed."""
    torch.manual_seed(seed)
    seed_dropout(seed)


def random_state(device: torch.device) -> RandomState:
    """Where the streams stand that :func:`seed_everything` seeded."""
    tensors = {TORCH: torch.get_rng_state()}
    if device.type != "cpu":
        tensors[device.type] = torch.get_device_module(device).get_rng_state(device)
    return tensors, {BYTES: dropout_state()}


def restore_random(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], device: torch.device) -> None:
    """Let the streams go on from where :func:`random_state` found them."""
    torch.set_rng_state(tensors[TORCH].cpu())
    restore_dropout(numbers[BYTES])
    if device.type in tensors:
        torch.get_device_module(device).set_rng_state(tensors[device.type].cpu(), device)


class Stream(Protocol):
    """One training's dropout, for steps that are taken together with those of others."""

    def drawing(self) -> AbstractContextManager[None]:
        """Within this block dropout draws from this stream, which goes on by that."""

    def in_place(self, state: RandomState) -> RandomState:
        """This state, the stream in it where it stands now."""


def stream_of(state: RandomState, device: torch.device) -> Stream:
    """The stream that dropout draws from on this device, from where it stands in a state."""
    return _OfBytes(state) if device.type == "cpu" else _OfDevice(state, device)


class _OfBytes:
    def __init__(self, state: RandomState) -> None:
        self._stream = dropout_stream(state[1][BYTES])

    def drawing(self) -> AbstractContextManager[None]:
        return drawing_from(self._stream)

    def in_place(self, state: RandomState) -> RandomState:
        return state[0], {**state[1], BYTES: dropout_state(self._stream)}


class _OfDevice:
    def __init__(self, state: RandomState, device: torch.device) -> None:
        self._device, self._module = device, torch.get_device_module(device)
        self._tensor = state[0][device.type].cpu()

    @contextmanager
    def drawing(self) -> Iterator[None]:
        before = self._module.get_rng_state(self._device)
        self._module.set_rng_state(self._tensor, self._device)
        try:
            yield
        finally:
            self._tensor = self._module.get_rng_state(self._device)
            self._module.set_rng_state(before, self._device)

    def in_place(self, state: RandomState) -> RandomState:
        return {**state[0], self._device.type: self._tensor}, state[1]

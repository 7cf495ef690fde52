"""A device beside the CPU that exists in tests alone, for what a GPU would refuse and what it would wait for.

Its tensors keep their numbers in main memory, out of reach: an operation on tensors of both devices is an error, as it
is with a GPU, and each time numbers are read from it, which a GPU would have to be waited for, is noted. All operations
are those of the CPU, so results are the same to the last bit, but for what is drawn: it has a stream of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "simulated"
aten = torch.ops.aten
MOVES = (aten._to_copy.default, aten.copy_.default)
"""Operations that may see both devices."""


class _Backend(_DummyBackendModule):
    """What torch asks of a device's module; it has a random stream of its own."""

    present = False
    stream = torch.Generator().get_state()

    def is_available(self) -> bool:
        return self.present

    def device_count(self) -> int:
        return int(self.present)

    def get_rng_state(self, _: Any = None) -> Tensor:
        return self.stream.clone()

    def set_rng_state(self, state: Tensor, _: Any = None) -> None:
        self.stream = state.clone()

    def manual_seed_all(self, seed: int) -> None:
        self.stream = torch.Generator().manual_seed(seed).get_state()

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


_backend = _Backend()
_setup_privateuseone_for_python_backend(NAME, _backend)
DEVICE = torch.device(NAME, 0)


class There(Tensor):
    """A tensor of the device, around one of main memory."""

    inner: Tensor
    reads: list[str] = []  # noqa: RUF012 - of all tensors
    """How numbers were read from the device."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> There:
        layout = {"strides": inner.stride(), "storage_offset": inner.storage_offset()}
        made: There = Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, device=DEVICE, **layout)  # type: ignore[attr-defined]
        made.inner = inner
        return made

    def __repr__(self, **_: Any) -> str:
        return f"There({self.inner})"

    def tolist(self) -> Any:
        self.reads.append("tolist")
        return self.inner.tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Everywhere(TorchDispatchMode):
    """Sees what makes tensors too."""

    def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


@contextmanager
def at_hand() -> Iterator[list[str]]:
    """Within this block there is such a device; gives how numbers are read from it meanwhile."""
    There.reads.clear()
    _backend.present = True
    try:
        with _Everywhere():
            yield There.reads
    finally:
        _backend.present = False


def _is_there(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
    there = [one for one in tensors if isinstance(one, There)]
    if there and func not in MOVES and any(one.dim() for one in tensors if not isinstance(one, There)):
        raise RuntimeError(f"{func} was given tensors of two devices")
    to = kwargs.get("device")
    stays = _is_there(to) if to is not None else bool(there)
    if func is aten.copy_.default:
        stays = isinstance(args[0], There)
    if there and (not stays or func is aten._local_scalar_dense.default):
        There.reads.append(func.__name__)
    plain_args, plain_kwargs = tree_map(_plain, (args, kwargs))
    known = {id(one.inner): one for one in there}  # what is worked on in place is handed back itself

    def back(found: Any) -> Any:
        if not stays or not isinstance(found, Tensor):
            return found
        return known[id(found)] if id(found) in known else There(found)

    with _own_stream() if stays and torch.Tag.nondeterministic_seeded in func.tags else nullcontext():
        found = func(*plain_args, **plain_kwargs)
    return tree_map(back, found)


@contextmanager
def _own_stream() -> Iterator[None]:
    """Within this block draws are of the device's stream, and go on there."""
    before = torch.get_rng_state()
    torch.set_rng_state(_backend.stream)
    try:
        yield
    finally:
        _backend.stream = torch.get_rng_state()
        torch.set_rng_state(before)


def _plain(one: Any) -> Any:
    if isinstance(one, There):
        return one.inner
    return torch.device("cpu") if isinstance(one, torch.device) and one.type == NAME else one

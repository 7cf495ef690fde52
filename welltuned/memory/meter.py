"""A meter of storages: what is alive while code runs, moment by moment."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class StorageMeter(TorchDispatchMode):
    """Follows the storages that come into being while it is active, until they are freed.

    Works on real tensors and on such without content alike. What a kernel allocates and frees within itself is not
    seen.

    Attributes:
        history: bytes alive after each operation, with those at its end that it was about to free.
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: list[int] = []
        self._held = 0
        self._seen: set[int] = set()
        self._alive: dict[int, tuple[int, int]] = {}
        self._gone: list[weakref.ref[torch.UntypedStorage]] = []
        self._refs: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    @property
    def held(self) -> int:
        """Bytes alive now."""
        self._settle()
        return self._held

    @property
    def peak(self) -> int:
        """The most bytes that were alive at one moment."""
        return max(self.history, default=0)

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Leave out storages that exist already."""
        self._seen.update(tensor.untyped_storage()._cdata for tensor in tensors)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        self._settle()
        for value in tree_leaves((args, result)):
            if isinstance(value, Tensor):
                self._follow(value.untyped_storage())
        self.history.append(self._held)
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._seen:
            return
        self._seen.add(key)
        # A built-in as callback runs no Python code, so a signal cannot be raised, and lost, inside it.
        reference = weakref.ref(storage, self._gone.append)
        self._refs[id(reference)] = reference
        self._alive[id(reference)] = (key, storage.nbytes())
        self._held += storage.nbytes()

    def _settle(self) -> None:
        """Take off what was freed since the last operation."""
        while self._gone:
            identity = id(self._gone.pop())
            key, nbytes = self._alive.pop(identity)
            del self._refs[identity]
            self._seen.discard(key)
            self._held -= nbytes

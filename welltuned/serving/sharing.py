"""One copy in memory of tensors that several models have in common.

A method that leaves most of an encoder as it was shares all that it left: of two LoRA runs on one model, say, each
keeps the merged matrices of its own and the head, and the rest is there once. Tensors are the same if their content
is, by SHA-256, whatever file they came from; nothing may write to them afterwards. What is held is a copy: tensors just
loaded are a view of the mapped file, of which one small tensor would keep the whole in memory, and which must not
change while it is served.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

_Key = tuple[type, torch.dtype, torch.Size, bytes]


@dataclass(frozen=True)
class Held:
    """Bytes of a model's tensors: in all, and those that models before it hold already."""

    bytes: int
    shared: int


class TensorPool:
    """The tensors of all models, each content once."""

    def __init__(self) -> None:
        self._known: dict[_Key, Tensor] = {}

    def admit(self, model: nn.Module) -> Held:
        """Let a model use the tensors already here in the place of equal ones of its own, and add the others."""
        model.requires_grad_(False)
        held: dict[_Key, bool] = {}
        for module in model.modules():
            tables: tuple[dict[str, Any], ...] = (module._parameters, module._buffers)
            for own in tables:
                for name, tensor in own.items():
                    if tensor is None:
                        continue
                    key = _key(tensor)
                    held.setdefault(key, key in self._known)
                    if key not in self._known:
                        self._known[key] = _copied(tensor)
                    own[name] = self._known[key]
        sizes = {key: self._known[key].nbytes for key in held}
        return Held(sum(sizes.values()), sum(sizes[key] for key, known in held.items() if known))


def _key(tensor: Tensor) -> _Key:
    content: Any = tensor.detach().contiguous().flatten().view(torch.uint8).numpy()
    return type(tensor), tensor.dtype, tensor.shape, hashlib.sha256(content).digest()


def _copied(tensor: Tensor) -> Tensor:
    copy = tensor.detach().clone()
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy

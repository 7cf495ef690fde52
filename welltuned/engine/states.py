"""Hidden states between a backbone's blocks in bf16 on a CPU, where its products are.

Autocast runs products in bf16 and hands on what follows them, a sum with fp32 states and its norm, in fp32; so every
block casts to and fro, and the passes between the products, which are bound by memory, move twice the bytes. Norms and
sums compute in fp32 inside either way; what a block hands on is rounded, as activations are in the bf16 training of
Kalamkar et al. 2019 ("A Study of BFLOAT16 for Deep Learning Training"). Weights, gradients of weights and the optimizer
stay in fp32, and so do pooling and a linear head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def hand_on_in_bf16(blocks: nn.ModuleList) -> None:
    """Under CPU autocast to bf16, let blocks take their hidden states [B, T, d] in bf16; otherwise nothing changes."""
    for block in blocks:
        block.register_forward_pre_hook(_rounded)


def _rounded(_: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The first of a block's arguments is its hidden states."""
    states, *others = given
    reduced = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    if not reduced or not isinstance(states, Tensor) or states.dtype != torch.float32:
        return given
    return states.to(torch.bfloat16), *others

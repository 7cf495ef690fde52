"""How weights follow their gradients, in fine-tuning and in pretraining alike.

AdamW (Loshchilov and Hutter 2019) without decay on biases and norms, linear warmup, clipping by global norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from welltuned.engine import Compute
from welltuned.errors import DivergedError
from welltuned.spec import OptimizerSpec


def adamw(model: nn.Module, spec: OptimizerSpec, compute: Compute) -> torch.optim.AdamW:
    """AdamW over what is trainable; tensors of one dimension (biases, norms) are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.lr, betas=(0.9, 0.999), eps=1e-8, fused=compute.engine == "fast")


def rate(spec: OptimizerSpec, steps: int) -> Callable[[int], float]:
    """The factor on the learning rate at each of ``steps`` steps: linear warmup, then the schedule.

    The last step still moves: a linear schedule ends at 1 / (steps - warmup), not at 0.
    """
    warmup = round(spec.warmup_ratio * steps)

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, steps - warmup)
        if spec.schedule == "constant":
            return 1.0
        if spec.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        return max(0.0, 1 - progress)

    return factor


def gradient(loss: Tensor, trained: Sequence[nn.Parameter], max_norm: float, step: str) -> float:
    """Backward from a loss, and the gradient clipped to ``max_norm`` (0 for none); returns its norm before that.

    Args:
        step: how the step is called in errors.

    Raises:
        DivergedError: the loss or the norm is not finite; the weights are those before the step.
    """
    loss.backward()
    norm = float(nn.utils.clip_grad_norm_(trained, max_norm or math.inf))
    if not math.isfinite(loss.item()) or not math.isfinite(norm):
        raise DivergedError(
            f"not finite at {step}: loss {loss.item()}, gradient norm {norm}",
            why="the learning rate is too high for this method, or the weights were damaged before",
            mend="try a learning rate of a third, or more warmup",
        )
    return norm

"""How weights follow their gradients, in fine-tuning and in pretraining alike.

AdamW (Loshchilov and Hutter 2019) without decay on biases and norms, linear warmup, clipping by global norm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from welltuned.engine import Compute
from welltuned.errors import DivergedError
from welltuned.spec import OptimizerSpec

BETAS, EPSILON = (0.9, 0.999), 1e-8


def adamw(model: nn.Module, spec: OptimizerSpec, compute: Compute) -> torch.optim.AdamW:
    """AdamW over what is trainable; tensors of one dimension (biases, norms) are not decayed."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=spec.lr, betas=BETAS, eps=EPSILON, fused=compute.engine == "fast")


@dataclass(frozen=True)
class Stack:
    """K tensors of one shape that are trained side by side, and their moments; all [K, ...]."""

    values: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, tensors: Sequence[Tensor]) -> Stack:
        """Copies of these, not stepped yet."""
        values = torch.stack([one.detach() for one in tensors])
        return cls(values, torch.zeros_like(values), torch.zeros_like(values))

    def step(self, gradients: Tensor, at: Tensor, rates: Tensor, decays: Tensor, count: int) -> None:
        """AdamW's step on some of them, each at its own rate (algorithm 2 of the paper).

        Args:
            gradients: [S, ...] clipped.
            at: [S] which of the K these are.
            rates, decays: [S] learning rate and decoupled decay of each.
            count: the steps of each, this one included.
        """
        many = (-1, *[1] * (gradients.dim() - 1))
        rates, decays = rates.view(many), decays.view(many)
        first = self.first[at].lerp_(gradients, 1 - BETAS[0])
        second = self.second[at].mul_(BETAS[1]).addcmul_(gradients, gradients, value=1 - BETAS[1])
        room = (second / (1 - BETAS[1] ** count)).sqrt_().add_(EPSILON)
        values = self.values[at].mul_(1 - rates * decays).sub_(rates / (1 - BETAS[0] ** count) * first / room)
        for whole, part in ((self.values, values), (self.first, first), (self.second, second)):
            whole.index_copy_(0, at, part)


WEIGHTS, MOMENTS = "weights", ("step", "exp_avg", "exp_avg_sq")


def set_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let the next step go at this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def rate_of(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate that the optimizer has."""
    return float(optimizer.param_groups[0]["lr"])


def trained_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What the optimizer trains and its moments, as they are and not copied.

    Named ``weights.NAME``, and ``step.NAME``, ``exp_avg.NAME`` and ``exp_avg_sq.NAME`` of a tensor that was stepped.
    """
    found: dict[str, Tensor] = {}
    for name, parameter in _optimised(model, optimizer):
        found[f"{WEIGHTS}.{name}"] = parameter.detach()
        moments = optimizer.state.get(parameter, {})
        found |= {f"{moment}.{name}": moments[moment] for moment in MOMENTS if moment in moments}
    return found


@torch.no_grad()
def put_trained_back(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Copy back what :func:`trained_tensors` found, into the same memory layout.

    Raises:
        KeyError: a tensor is missing or of another shape; nothing is changed.
    """
    for name, parameter in _optimised(model, optimizer):
        if tensors[f"{WEIGHTS}.{name}"].shape != parameter.shape:
            raise KeyError(name)
    for name, parameter in _optimised(model, optimizer):
        parameter.copy_(tensors[f"{WEIGHTS}.{name}"])
        optimizer.state.pop(parameter, None)
        if f"{MOMENTS[0]}.{name}" in tensors:
            step, *averages = (tensors[f"{moment}.{name}"] for moment in MOMENTS)
            steps_beside = bool(optimizer.defaults.get("fused")) or bool(optimizer.defaults.get("capturable"))
            count = step.to(parameter.device if steps_beside else "cpu", copy=True)
            copies = [torch.empty_like(parameter).copy_(one) for one in averages]
            optimizer.state[parameter] = dict(zip(MOMENTS, [count, *copies], strict=True))


def _optimised(model: nn.Module, optimizer: torch.optim.Optimizer) -> Iterator[tuple[str, nn.Parameter]]:
    own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    return ((name, parameter) for name, parameter in model.named_parameters() if id(parameter) in own)


DECAY = 0.2
"""Share of the steps after warmup over which a warmup-stable-decay schedule falls."""


def rate(spec: OptimizerSpec, steps: int) -> Callable[[int], float]:
    """The factor on the learning rate at each of ``steps`` steps: linear warmup, then the schedule.

    Warmup-stable-decay is that of Hu et al. 2024, "MiniCPM", section 4, with a linear decay.
    The last step still moves: a linear schedule ends at 1 / (steps - warmup), not at 0.
    """
    warmup = round(spec.warmup_ratio * steps) if spec.warmup_steps is None else spec.warmup_steps

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, steps - warmup)
        if spec.schedule == "constant":
            return 1.0
        if spec.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * progress))
        left = max(0.0, 1 - progress)
        return left if spec.schedule == "linear" else min(1.0, left / DECAY)

    return factor


def clipped(found: Tensor, trained: Sequence[nn.Parameter], max_norm: float, step: str) -> list[float]:
    """Clip the gradient that backward left to ``max_norm`` (0 for none); its norm before that follows ``found``.

    All of it is read at once, as a GPU's work has to be waited for at each reading.

    Args:
        found: [n] float64, what the step has found, its loss first.
        step: how the step is called in errors.

    Returns:
        n + 1 numbers.

    Raises:
        DivergedError: the loss or the norm is not finite; the weights are those before the step.
    """
    norm = nn.utils.clip_grad_norm_(trained, max_norm or math.inf)
    values: list[float] = torch.cat([found, norm.double().reshape(1)]).tolist()
    if not math.isfinite(values[0]) or not math.isfinite(values[-1]):
        raise DivergedError(
            f"not finite at {step}: loss {values[0]}, gradient norm {values[-1]}",
            why="the learning rate is too high for this method, or the weights were damaged before",
            mend="try a learning rate of a third, or more warmup",
        )
    return values

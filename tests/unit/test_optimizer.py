from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from conformance.contract import PLAIN, subject, tiny_spec
from families import FAMILIES
from torch import nn

from welltuned.engine import Compute
from welltuned.errors import DivergedError
from welltuned.optimizer import adamw, clipped, rate
from welltuned.pretrained import Pretrained
from welltuned.spec import TrainSpec

Find = Callable[[str], Pretrained]
FAST = Compute(torch.device("cpu"), "fp32", "fast")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("constant", [1 / 3, 2 / 3, *[1] * 8]),
        ("cosine", [1 / 3, 2 / 3, *[0.5 * (1 + math.cos(math.pi * i / 8)) for i in range(8)]]),
    ],
)
def test_rate(schedule: Any, expected: list[float]) -> None:
    factor = rate(TrainSpec(lr=1, warmup_ratio=0.2, schedule=schedule), 10)
    assert [factor(step) for step in range(10)] == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["linear", "constant", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.06, 1.0])
def test_no_step_stands_still_or_overshoots(schedule: Any, warmup: float) -> None:
    factor = rate(TrainSpec(lr=1, warmup_ratio=warmup, schedule=schedule), 7)
    assert all(0 < factor(step) <= 1 for step in range(7))


@pytest.mark.parametrize("family", FAMILIES)
def test_biases_and_norms_are_not_decayed(family: str, tiny: Find) -> None:
    encoder = tiny(family).encoder("native", 2, 0)
    optimizer = adamw(encoder, TrainSpec(lr=1e-3, weight_decay=0.3), PLAIN)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decay) == len(list(encoder.parameters()))
    for name, parameter in encoder.named_parameters():
        exempt = name.endswith("bias") or "norm" in name.lower()
        assert decay[id(parameter)] == (0.0 if exempt else 0.3), name


def test_frozen_parameters_are_not_optimised(tiny: Find) -> None:
    one = subject(tiny("bert"), tiny_spec("head"))
    optimizer = adamw(one.encoder, TrainSpec(lr=1e-3), FAST)
    assert sum(p.numel() for group in optimizer.param_groups for p in group["params"]) == 32 * 3 + 3
    assert optimizer.defaults["fused"]


def after_backward(loss: torch.Tensor, weight: nn.Parameter, most: float, step: str) -> float:
    loss.backward()
    return clipped(loss.detach().double().reshape(1), [weight], most, step)[-1]


def test_the_gradient_is_clipped_and_its_norm_before_that_is_told() -> None:
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    assert after_backward((weight**2).sum() / 2, weight, 1.0, "step 1") == pytest.approx(5.0)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, torch.tensor([0.6, 0.8]))
    weight.grad = None
    assert after_backward((weight**2).sum() / 2, weight, 0.0, "step 1") == pytest.approx(5.0)
    torch.testing.assert_close(weight.grad, torch.tensor([3.0, 4.0]))


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(poison: float) -> None:
    weight = nn.Parameter(torch.ones(2))
    with pytest.raises(DivergedError, match="not finite at step 7"):
        after_backward((weight * poison).sum(), weight, 1.0, "step 7")

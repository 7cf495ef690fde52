from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conformance.contract import PLAIN, snapshot, subject, tiny_spec
from families import tokenized, whole

from welltuned import memory, methods
from welltuned.errors import ResourceError
from welltuned.memory import longest_batch, measure_step
from welltuned.optimizer import adamw
from welltuned.pretrained import Pretrained
from welltuned.spec import TrainSpec

Find = Callable[[str], Pretrained]


@pytest.mark.parametrize("method", methods.names())
def test_the_parts_of_a_step(method: str, tiny: Find) -> None:
    one = subject(tiny("bert"), tiny_spec(method))
    trained = sum(parameter.numel() for parameter in one.encoder.parameters() if parameter.requires_grad)
    every = sum(parameter.numel() for parameter in one.encoder.parameters())
    before = snapshot(one.encoder)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    memory = measure_step(one.encoder, one.batch, PLAIN)
    assert torch.equal(torch.rand(1), expected), "the measurement drew from the random stream"
    assert (memory.weights, memory.gradients, memory.optimizer) == (4 * every, 4 * trained, 8 * trained)
    assert memory.peak == max(memory.forward, memory.backward, memory.step)
    assert memory.peak >= memory.weights + memory.optimizer + max(memory.gradients, memory.activations)
    assert (memory.rows, memory.tokens) == tuple(one.batch.ids.shape)
    assert all(parameter.grad is None for parameter in one.encoder.parameters())
    assert all(torch.equal(before[name], value) for name, value in snapshot(one.encoder).items())


def test_a_step_of_the_optimizer_is_measured_too(tiny: Find) -> None:
    one = subject(tiny("bert"), tiny_spec("full"))
    before = snapshot(one.encoder)
    memory = measure_step(one.encoder, one.batch, PLAIN, adamw(one.encoder, TrainSpec(lr=1e-3), PLAIN))
    assert memory.step > memory.weights + memory.gradients + memory.optimizer, "AdamW without fusing needs room"
    assert any(not torch.equal(before[name], value) for name, value in snapshot(one.encoder).items())
    assert all(parameter.grad is None for parameter in one.encoder.parameters())


def test_measurements_repeat_and_grow_with_rows(tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("full")), tokenized(tiny("bert"), n=16)
    small, again, large = (measure_step(one.encoder, longest_batch(split, rows), PLAIN) for rows in (4, 4, 16))
    assert small == again
    assert 3.5 < large.activations / small.activations < 4.5


def test_a_frozen_encoder_keeps_no_activations(tiny: Find) -> None:
    full, head = (
        measure_step(one.encoder, one.batch, PLAIN)
        for one in (subject(tiny("bert"), tiny_spec(name)) for name in ("full", "head"))
    )
    assert head.activations < full.activations / 20


def test_the_longest_rows_make_the_worst_batch(tiny: Find) -> None:
    split = tokenized(tiny("bert"), n=20)
    batch = longest_batch(split, 3)
    assert sorted(split.lengths[batch.rows.numpy()]) == sorted(split.lengths)[-3:]
    assert len(longest_batch(split, 50)) == 20
    assert len(whole(split)) == 20


def test_out_of_memory_is_an_error_of_resources() -> None:
    with pytest.raises(ResourceError, match="does not fit"), memory.out_of_memory_told("full"):
        torch.empty(2**60)
    with pytest.raises(RuntimeError, match="shape"), memory.out_of_memory_told("full"):
        raise RuntimeError("shape")

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
import torch
from families import FAMILIES, logits_of, tokenized, whole
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from welltuned.engine import Compute, prepare, random_state, resolve, restore_random, seed_everything
from welltuned.engine.allocator import keep_memory
from welltuned.engine.dropout import byte_dropout
from welltuned.errors import UsageError
from welltuned.pretrained import Pretrained
from welltuned.spec import ComputeSpec

Find = Callable[[str], Pretrained]
CPU = torch.device("cpu")


@pytest.mark.parametrize("head", ["mean", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_both_engines_give_the_same_logits(family: str, head: str, tiny: Find) -> None:
    batch = whole(tokenized(tiny(family), longest=20))
    plain, fast = (
        logits_of(prepare(tiny(family).encoder(head, 2, 0), Compute(CPU, "fp32", engine)), batch)
        for engine in ("plain", "fast")
    )
    torch.testing.assert_close(plain, fast, atol=1e-5, rtol=0)


def test_what_is_asked_for_is_what_is_resolved() -> None:
    compute = resolve(ComputeSpec(device="cpu", precision="bf16", engine="plain"))
    assert compute == Compute(CPU, "bf16", "plain")


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "fp32")])
def test_auto_follows_the_machine(fast: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from welltuned import engine

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(engine, "_has_fast_bf16", lambda kind: fast)
    assert resolve(ComputeSpec()) == Compute(CPU, precision, "fast")


def test_asking_for_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA device"):
        resolve(ComputeSpec(device="cuda"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_arithmetic(precision: str) -> None:
    a = torch.randn(4, 4)
    with Compute(CPU, precision, "plain").arithmetic():
        assert (a @ a).dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    assert (a @ a).dtype == torch.float32


def test_bf16_logits_stay_near(tiny: Find) -> None:
    encoder, batch = tiny("bert").encoder("mean", 2, 0), whole(tokenized(tiny("bert")))
    exact = logits_of(encoder, batch)
    with Compute(CPU, "bf16", "fast").arithmetic():
        near = logits_of(encoder, batch)
    assert near.dtype == torch.float32
    assert not torch.equal(near, exact)
    torch.testing.assert_close(near, exact, atol=2e-2, rtol=0)


@pytest.mark.parametrize("head", ["mean", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_hand_on_bf16_under_bf16_alone(family: str, head: str, tiny: Find) -> None:
    """In every family: what blocks take, logits and gradients near those of fp32, all gradients in fp32."""
    compute, batch = Compute(CPU, "bf16", "fast"), whole(tokenized(tiny(family), longest=20))
    encoder = prepare(tiny(family).encoder(head, 2, 0), compute).eval()
    taken: list[torch.dtype] = []
    for block in encoder.blocks:
        block.register_forward_pre_hook(lambda _, given: taken.append(given[0].dtype))
    exact = encoder(batch)
    assert set(taken) == {torch.float32}
    exact_gradients = torch.autograd.grad(exact[:, 0].sum(), list(encoder.parameters()), allow_unused=True)
    taken.clear()
    with compute.arithmetic():
        near = encoder(batch)
    assert set(taken) == {torch.bfloat16}
    assert near.dtype == torch.float32
    torch.testing.assert_close(near, exact, atol=3e-2, rtol=0)
    gradients = torch.autograd.grad(near[:, 0].sum(), list(encoder.parameters()), allow_unused=True)
    assert [one is None for one in gradients] == [one is None for one in exact_gradients]
    assert {one.dtype for one in gradients if one is not None} == {torch.float32}
    found, true = (
        torch.cat([one.flatten() for one in all_of if one is not None]) for all_of in (gradients, exact_gradients)
    )
    assert float((found - true).norm()) <= 0.05 * float(true.norm())


def test_fp32_and_the_plain_engine_take_no_bf16(tiny: Find) -> None:
    batch = whole(tokenized(tiny("bert")))
    for compute in (Compute(CPU, "fp32", "fast"), Compute(CPU, "bf16", "plain")):
        encoder = prepare(tiny("bert").encoder("mean", 2, 0), compute)
        taken: list[torch.dtype] = []
        for block in encoder.blocks:
            block.register_forward_pre_hook(lambda _, given, taken=taken: taken.append(given[0].dtype))
        with compute.arithmetic():
            encoder(batch)
        assert set(taken) == {torch.float32}


@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_a_seed_decides_dropout(engine: str, tiny: Find) -> None:
    encoder = prepare(tiny("bert").encoder("mean", 2, 0), Compute(CPU, "fp32", engine)).train()
    batch = whole(tokenized(tiny("bert")))

    def logits(seed: int) -> torch.Tensor:
        seed_everything(seed)
        return encoder(batch).detach()

    assert torch.equal(logits(1), logits(1))
    assert not torch.equal(logits(1), logits(2))


def test_keeping_memory_says_whether_it_could(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(keep_memory(), bool)
    from welltuned.engine import allocator

    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert keep_memory.__wrapped__() is False


def test_random_streams_go_on_where_they_were() -> None:
    compute = Compute(torch.device("cpu"), "fp32", "fast")
    seed_everything(3)
    byte_dropout(torch.ones(1001), 0.5)
    torch.rand(7)
    tensors, numbers = random_state(compute.device)
    numbers = json.loads(json.dumps(numbers))
    expected = torch.rand(100), byte_dropout(torch.ones(1000), 0.5)
    seed_everything(4)
    restore_random(tensors, numbers, compute.device)
    assert torch.equal(torch.rand(100), expected[0])
    assert torch.equal(byte_dropout(torch.ones(1000), 0.5), expected[1])


def _casts(work: Callable[[], object]) -> int:
    """Matrices [16, 16] that are cast from fp32 to bf16 meanwhile."""

    class Counted(TorchDispatchMode):
        found = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made = func(*args, **(kwargs or {}))
            if func is torch.ops.aten._to_copy.default and made.dtype == torch.bfloat16:
                self.found += made.shape == (16, 16)
            return made

    with Counted() as mode:
        work()
    return mode.found


def test_while_weights_are_held_each_is_cast_once_for_all_pieces() -> None:
    compute = Compute(CPU, "bf16", "fast")
    torch.manual_seed(0)
    layers, rows = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16)), torch.randn(4, 3, 16)

    def step(held: bool) -> dict[str, Tensor]:
        layers.zero_grad()
        with compute.weights_held() if held else contextlib.nullcontext():
            for piece in rows:
                with compute.arithmetic():
                    loss = layers(piece.bfloat16()).float().square().sum()
                loss.backward()
        return {name: one.grad.clone() for name, one in layers.named_parameters()}

    found: list[dict[str, Tensor]] = []
    assert _casts(lambda: found.append(step(False))) == 8
    assert _casts(lambda: found.append(step(True))) == 2
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name])


def test_what_was_cast_while_weights_were_held_is_forgotten_after() -> None:
    compute = Compute(CPU, "bf16", "fast")
    layer, x = nn.Linear(4, 4, bias=False), torch.ones(1, 4)
    for value in (1.0, 2.0):
        with torch.no_grad():
            layer.weight.fill_(value)
        with compute.weights_held(), compute.arithmetic():
            assert layer(x).tolist() == [[4 * value] * 4]
    with compute.weights_held():
        assert layer(x).dtype == torch.float32, "outside of arithmetic nothing is cast"

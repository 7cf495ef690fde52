"""Rows end to end for a GPU, on whatever is at hand: layout, masks, the kernel's call, and when it is trusted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from conformance import contract
from conformance.contract import PLAIN, tiny_spec
from families import FAMILIES, tokenized, whole
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from welltuned import methods
from welltuned.encoders import Encoder
from welltuned.engine import Compute, prepare, varlen
from welltuned.engine.varlen import (
    MULTIPLE,
    NAME,
    UNPADDED,
    Unpadded,
    does_its_work,
    flash,
    kernel_for,
    use_varlen_attention,
)
from welltuned.fit import scored
from welltuned.joined import standing
from welltuned.pretrained import Pretrained
from welltuned.spec import TrainSpec

Find = Callable[[str], Pretrained]
CPU, META = torch.device("cpu"), torch.device("meta")
OWN_KIND = "deberta-v2"
"""Its attention is its own."""
OTHERS = [name for name in FAMILIES if name != OWN_KIND]
LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=20)


def by_the_book(
    query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int, rate: float, scale: float
) -> Tensor:
    """What the kernel computes, row by row."""
    found = []
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        assert 0 < end - start <= longest
        q, k, v = (one[start:end].transpose(0, 1) for one in (query, key, value))
        found.append(scaled_dot_product_attention(q, k, v, dropout_p=rate, scale=scale).transpose(0, 1))
    return torch.cat(found)


class Called:
    """A kernel that counts."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, *given: Any) -> Tensor:
        self.times += 1
        return by_the_book(*given)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Called:
    """In place of the GPU's."""
    called = Called()
    monkeypatch.setattr(varlen, "kernel_for", lambda *_: called)
    return called


def end_to_end(encoder: Encoder) -> Encoder:
    """As :func:`prepare` leaves one on a GPU."""
    assert use_varlen_attention(encoder.backbone)
    encoder.end_to_end = UNPADDED
    return encoder


@given(LENGTHS)
def test_rows_have_no_padding_but_behind_the_last(lengths: list[int]) -> None:
    layout, own = Unpadded.of(lengths, max(lengths)), sum(lengths)
    assert layout.lengths == tuple(lengths)
    assert layout.strides[:-1] == tuple(lengths[:-1])
    assert layout.tokens % MULTIPLE == 0
    assert own <= layout.tokens < own + MULTIPLE
    assert sum(layout.segments) == layout.tokens
    assert layout.segments[: len(lengths)] == tuple(lengths)
    assert len(layout.segments) == len(lengths) + (own < layout.tokens)
    bounds = layout.bounds(CPU)
    assert bounds.dtype == torch.int32
    assert bounds.diff().tolist() == list(layout.segments)
    assert (int(bounds[0]), int(bounds[-1])) == (0, layout.tokens)


@given(LENGTHS)
def test_joined_and_padded_again_tokens_are_what_they_were(lengths: list[int]) -> None:
    layout, longest = Unpadded.of(lengths, max(lengths)), max(lengths) + 3
    own = layout.own(CPU, longest)[:, 0, 0]
    assert own.sum(dim=1).tolist() == lengths
    batch = torch.randn(len(lengths), longest, 2) * own[..., None]
    joined = layout.join(batch)
    assert torch.equal(joined[0, : sum(lengths)], batch[own])
    assert not joined[0, sum(lengths) :].any()
    assert torch.equal(layout.pad(joined, longest), batch)
    assert layout.positions(1)[0, : sum(lengths)].tolist() == [1 + at for length in lengths for at in range(length)]


def test_gradients_go_to_and_fro() -> None:
    layout = Unpadded.of([9, 7, 2], 9)
    batch = torch.randn(3, 10, 2, dtype=torch.float64, requires_grad=True)
    joined = torch.randn(1, layout.tokens, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layout.join, (batch,))
    assert torch.autograd.gradcheck(lambda one: layout.pad(one, 10), (joined,))


@pytest.mark.parametrize("has_kernel", [False, True])
@pytest.mark.parametrize("family", OTHERS)
def test_models_give_the_same_logits_and_gradients(
    family: str, has_kernel: bool, tiny: Find, request: pytest.FixtureRequest
) -> None:
    """With the kernel, and with rows padded for attention alone, as ModernBERT's sliding windows need it either way."""
    called = request.getfixturevalue("kernel") if has_kernel else None
    encoder = tiny(family).encoder("mean", 2, 0).eval()
    batch = whole(tokenized(tiny(family), n=6, longest=40))
    results = []
    for joined in (False, True):
        if joined:
            end_to_end(encoder)
        assert encoder.joins == joined
        encoder.zero_grad()
        logits = encoder(batch)
        cross_entropy(logits, batch.labels).backward()
        results.append((logits.detach(), {name: p.grad.clone() for name, p in encoder.named_parameters()}))
    (one, gradients), (other, others) = results
    torch.testing.assert_close(other, one, atol=1e-5, rtol=0)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, atol=1e-5, rtol=1e-4, msg=name)
    if called is not None:
        with_windows = encoder.backbone.config.model_type == "modernbert"
        assert 0 < called.times < len(encoder.blocks) if with_windows else called.times == len(encoder.blocks)


@pytest.mark.parametrize("has_kernel", [False, True])
@pytest.mark.parametrize("method", methods.names())
def test_training_goes_the_same_way(method: str, has_kernel: bool, tiny: Find, request: pytest.FixtureRequest) -> None:
    """Losses of a hundred steps, on rows of a hundred tokens and few."""
    if has_kernel:
        request.getfixturevalue("kernel")
    spec, losses = TrainSpec(lr=1e-3, epochs=17, batch_size=4, eval_batch_size=8), []
    for joined in (False, True):
        training = contract.begun(tiny("bert"), tiny_spec(method), spec, PLAIN, (24, 9), dropout=False)
        if joined:
            end_to_end(training.encoder)
        training.run()
        losses.append([value for row in training.curve for value in (row.train_loss, row.dev_loss)])
    assert training.step == 102
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("has_kernel", [False, True])
def test_weights_are_dropped_in_training_alone(has_kernel: bool, tiny: Find, request: pytest.FixtureRequest) -> None:
    if has_kernel:
        request.getfixturevalue("kernel")
    encoder = end_to_end(tiny("bert").encoder("mean", 2, 0))
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    batch = whole(tokenized(tiny("bert"), n=6, longest=20))
    with torch.no_grad():
        encoder.eval()
        first, again = encoder(batch), encoder(batch)
        assert torch.equal(first, again)
        encoder.train()
        for layer in encoder.modules():
            if hasattr(layer, "dropout") and hasattr(layer, "num_attention_heads"):
                layer.dropout.p = 0.5
        assert not torch.equal(encoder(batch), first)


@pytest.mark.usefixtures("kernel")
def test_attention_drops_nothing_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever rate a family names."""
    layer, layout = torch.nn.Module(), Unpadded.of([9, 7, 2], 9)
    q, k, v = (torch.randn(1, 2, layout.tokens, 8) for _ in range(3))
    with standing(layout):
        expected = varlen.attention(layer.eval(), q, k, v, None)[0]
        assert expected.shape == (1, layout.tokens, 2, 8)
        assert torch.equal(varlen.attention(layer, q, k, v, None, dropout=0.5)[0], expected)
        monkeypatch.setattr(varlen, "kernel_for", lambda *_: None)
        own = slice(sum(layout.lengths))
        padded = varlen.attention(layer, q, k, v, None, dropout=0.5)[0]
        torch.testing.assert_close(padded[:, own], expected[:, own])


def test_rows_of_a_padded_batch_are_left_to_torch(tiny: Find, kernel: Called) -> None:
    """As where lengths are not known."""
    encoder = tiny("bert").encoder("mean", 2, 0).eval()
    batch = whole(tokenized(tiny("bert"), n=6, longest=20))
    expected = encoder(batch)
    end_to_end(encoder).end_to_end = None
    torch.testing.assert_close(encoder(batch), expected, atol=1e-5, rtol=0)
    assert encoder.backbone.config._attn_implementation == NAME
    assert not kernel.times


@pytest.mark.parametrize("engine", ["fast", "plain"])
@pytest.mark.parametrize("family", FAMILIES)
def test_where_rows_stand_end_to_end(family: str, engine: str, tiny: Find) -> None:
    """On another device than a CPU: in every family that lets others compute attention, on the fast engine."""
    encoder = prepare(tiny(family).encoder("mean", 2, 0), Compute(META, "bf16", engine))
    assert encoder.joins == (engine == "fast" and family != OWN_KIND)
    assert all(one.device == META for one in encoder.parameters())


@pytest.mark.parametrize("has_kernel", [False, True])
@pytest.mark.parametrize("method", methods.names())
@pytest.mark.parametrize("family", OTHERS)
def test_nothing_of_a_step_is_read_before_its_end(
    family: str, method: str, has_kernel: bool, tiny: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a device without numbers, where whoever reads one fails; torch's own kernel takes part."""
    monkeypatch.setattr(varlen, "kernel_for", lambda *_: flash if has_kernel else None)
    monkeypatch.setattr(varlen, "_as_autocast_wants", lambda tensor: tensor)  # there is no autocast for it
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    one = contract.subject(tiny(family), tiny_spec(method))
    encoder = prepare(one.encoder.to(torch.bfloat16), Compute(META, "bf16", "fast")).train()
    assert encoder.joins
    batch = one.batch.to(META)
    logits = encoder.forward(batch).to(torch.bfloat16)
    loss, found = scored(logits, batch.labels)
    loss.backward()
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.shape == parameter.shape for parameter in trained)
    with pytest.raises(NotImplementedError, match="meta"):
        found.tolist()


def test_torch_takes_the_call_of_the_kernel() -> None:
    """Its arguments and shapes, forward and backward; numbers only a GPU can show."""
    layout = Unpadded.of([9, 7, 2], 9)
    query, key, value = (
        torch.empty(layout.tokens, 4, 32, device=META, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
    )
    out = flash(query, key, value, layout.bounds(META), max(layout.segments), 0.1, 0.2)
    assert (out.shape, out.dtype) == (query.shape, query.dtype)
    gradients = torch.autograd.grad(out.sum(), (query, key, value))
    assert all(one.shape == query.shape for one in gradients)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_kernel_that_does_its_work_is_trusted(dtype: torch.dtype) -> None:
    assert does_its_work(by_the_book, CPU, dtype, 32)
    with torch.no_grad():
        assert does_its_work(by_the_book, CPU, dtype, 32)
    with torch.inference_mode():
        assert does_its_work(by_the_book, CPU, dtype, 32)


@pytest.mark.parametrize("width", [8, 32, 64, 256])
def test_a_kernel_may_round_otherwise(width: int) -> None:
    """One that keeps fp32 until its end, where torch's usual attention rounds in between."""

    def exact(*given: Any) -> Tensor:
        q, k, v, *others = given
        return by_the_book(q.float(), k.float(), v.float(), *others).to(q.dtype)

    for seed in range(5):
        torch.manual_seed(seed)
        assert does_its_work(exact, CPU, torch.bfloat16, width)


def across_rows(*given: Any) -> Tensor:
    q, k, v, bounds, _, rate, scale = given
    return by_the_book(q, k, v, bounds[[0, -1]], q.shape[0], rate, scale)


def with_another_scale(*given: Any) -> Tensor:
    return by_the_book(*given[:-1], 2 * given[-1])


def without_gradient_of_keys(*given: Any) -> Tensor:
    q, k, *others = given
    return by_the_book(q, k.detach() + 0 * k, *others)


def without_scaling_what_is_kept(*given: Any) -> Tensor:
    return by_the_book(*given) * (1 - given[-2])


def of_an_older_torch(*_: Any) -> Tensor:
    raise TypeError("unexpected keyword")


def that_fails(*_: Any) -> Tensor:
    raise RuntimeError("no kernel image is available for execution on the device")


def of_no_number(*given: Any) -> Tensor:
    return by_the_book(*given) * float("nan")


@pytest.mark.parametrize(
    "wrong",
    [
        across_rows,
        with_another_scale,
        without_gradient_of_keys,
        without_scaling_what_is_kept,
        of_an_older_torch,
        that_fails,
        of_no_number,
    ],
)
def test_a_kernel_that_does_not_is_not_trusted(wrong: varlen.Kernel) -> None:
    assert not does_its_work(wrong, CPU, torch.float32, 32)


@pytest.mark.parametrize(
    ("device", "dtype", "width"),
    [
        ("cpu", torch.bfloat16, 32),
        ("cuda", torch.float32, 32),
        ("cuda", torch.bfloat16, 20),
        ("cuda", torch.bfloat16, 264),
    ],
)
def test_where_there_is_no_kernel(device: str, dtype: torch.dtype, width: int) -> None:
    assert kernel_for(torch.device(device), dtype, width) is None

"""What only a GPU can show; passed over where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance import contract
from conformance.contract import PLAIN, snapshot, subject, tiny_spec
from families import FAMILIES, tokenized, whole
from torch.nn.functional import cross_entropy

from welltuned import methods
from welltuned.engine import Compute, prepare, varlen
from welltuned.engine.varlen import flash, kernel_for
from welltuned.gathering import train_together
from welltuned.memory import longest_batch, measure_step
from welltuned.plan import candidate
from welltuned.pretrained import Pretrained
from welltuned.progress import Observer
from welltuned.run import run, trial
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, TrainSpec
from welltuned.together import Abreast, share_frozen
from welltuned.train import Training
from welltuned.utilisation import ceiling, needed
from welltuned.workbench import Workbench

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is at hand")

Find = Callable[[str], Pretrained]
KIND = "cuda"
SPEC = TrainSpec(lr=1e-3, epochs=5, batch_size=4, eval_batch_size=8)


def begun(origin: Pretrained, method: str, compute: Compute, *, dropout: bool = True) -> Training:
    return contract.begun(origin, tiny_spec(method), SPEC, compute, (24, 9), dropout=dropout)


@pytest.mark.parametrize("engine", ["plain", "fast"])
@pytest.mark.parametrize("method", methods.names())
def test_training_goes_as_on_the_cpu(method: str, engine: str, tiny: Find) -> None:
    """On the fast engine with rows end to end, padded for attention, as there is no kernel for fp32."""
    losses = []
    for compute in (PLAIN, Compute(torch.device(KIND), "fp32", engine)):
        training = begun(tiny("bert"), method, compute, dropout=False)
        training.run()
        losses.append([row.train_loss for row in training.curve])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0, atol=1e-4)
    assert len(losses[0]) == SPEC.epochs


@pytest.mark.parametrize("method", methods.names())
def test_training_in_bf16_learns(method: str, tiny: Find) -> None:
    training = begun(tiny("bert"), method, Compute(torch.device(KIND), "bf16", "fast"))
    training.run()
    assert training.curve[-1].train_loss < training.curve[0].train_loss
    assert all(one.dtype == torch.float32 for one in training.encoder.parameters())


def test_what_a_step_needs_and_the_ceiling_are_found_without_a_trace(tiny: Find) -> None:
    found = []
    for compute in (PLAIN, Compute(torch.device(KIND), "bf16", "fast")):
        training = begun(tiny("bert"), "lora", compute)
        streams, mode = torch.cuda.get_rng_state(), training.encoder.training
        found.append(needed(training.encoder, training.train, compute))
        assert ceiling(compute) > 0
        assert torch.equal(torch.cuda.get_rng_state(), streams)
        assert training.encoder.training == mode
    assert found[0] == found[1]


def test_a_state_goes_on_bit_for_bit(tiny: Find) -> None:
    compute = Compute(torch.device(KIND), "fp32", "fast")
    whole, first, again = (begun(tiny("bert"), "full", compute) for _ in range(3))
    whole.run()
    first.run(until=7)
    again.restore(first.snapshot())
    again.run()
    expected = snapshot(whole.encoder)
    assert all(torch.equal(value, expected[name]) for name, value in snapshot(again.encoder).items())


@pytest.mark.parametrize("method", methods.names())
def test_a_step_waits_for_the_device_at_its_end_alone(method: str, tiny: Find) -> None:
    training = begun(tiny("bert"), method, Compute(torch.device(KIND), "fp32", "fast"))
    training.run(until=2)
    training.encoder.train()
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            training._take_step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    waits = [one for one in met if "synchronizing" in str(one.message)]
    assert len(waits) == 1


@pytest.mark.parametrize("width", [8, 32, 64, 128])
def test_the_kernel_for_rows_of_any_length_does_its_work(width: int) -> None:
    before = torch.cuda.get_rng_state()
    assert kernel_for(torch.device(KIND, 0), torch.bfloat16, width) is flash
    assert torch.equal(torch.cuda.get_rng_state(), before)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "deberta-v2"])
def test_rows_end_to_end_give_the_gradients_of_padded_ones(
    family: str, tiny: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[int] = []
    monkeypatch.setattr(varlen, "kernel_for", lambda *_: lambda *given: called.append(given[4]) or flash(*given))
    compute, found = Compute(torch.device(KIND), "bf16", "fast"), []
    encoder = prepare(tiny(family).encoder("mean", 2, 0), compute).eval()
    batch = whole(tokenized(tiny(family), n=6, longest=40)).to(compute.device)
    for implementation in (varlen.NAME, "sdpa"):
        encoder.backbone.set_attn_implementation(implementation)
        assert encoder.joins == (implementation == varlen.NAME)
        encoder.zero_grad()
        with compute.arithmetic():
            logits = encoder(batch)
        cross_entropy(logits, batch.labels).backward()
        gradients = torch.cat([one.grad.flatten() for one in encoder.parameters() if one.grad is not None])
        found.append((logits.detach(), gradients))
    assert called
    torch.testing.assert_close(*(logits for logits, _ in found), atol=3e-2, rtol=0)
    assert torch.cosine_similarity(*(gradients for _, gradients in found), dim=0) > 0.99


def test_the_memory_of_a_step_is_measured(tiny: Find) -> None:
    compute = Compute(torch.device(KIND), "fp32", "fast")
    one, split = subject(tiny("bert"), tiny_spec("full")), tokenized(tiny("bert"), n=16)
    prepare(one.encoder, compute)
    small, large = (measure_step(one.encoder, longest_batch(split, rows), compute) for rows in (4, 16))
    assert small.weights == large.weights > 0
    assert 2 < large.activations / small.activations < 6


@pytest.mark.parametrize("method", methods.names())
def test_a_whole_run(method: str, plan: tuple[DataSpec, ModelSpec], tmp_path: Path) -> None:
    tiny = "".join(f":{field}={value}" for field, value in methods.find(method).tiny.items())
    spec = candidate(method + tiny, {"batch_size": 8, "epochs": 2}).run(*plan, 0, ComputeSpec(device=KIND))
    record = run(spec, tmp_path / "one", Workbench())
    assert record.provenance.device == torch.cuda.get_device_name()
    assert len(record.curve) == 2


def test_heads_train_together_as_alone(
    plan: tuple[DataSpec, ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("welltuned.gathering.WORTH", 0)
    compute = ComputeSpec(device=KIND, precision="fp32")
    options = {"batch_size": 8, "epochs": 20}
    specs = [candidate("head", {**options, "lr": lr}).run(*plan, 0, compute) for lr in (1e-3, 1e-2)]
    bench = Workbench()
    train_together(specs, tmp_path / "together", bench)
    for spec in specs:
        mine, alone = (
            trial(spec, tmp_path / way / spec.name, at) for way, at in (("together", bench), ("alone", Workbench()))
        )
        np.testing.assert_allclose(
            [row.train_loss for row in mine.curve], [row.train_loss for row in alone.curve], rtol=0, atol=1e-4
        )


@pytest.mark.parametrize("method", ["lora", "prefix"])
def test_runs_share_passes_as_alone(method: str, tiny: Find) -> None:
    """Dropout and all, of which each draws from a stream of its own."""
    compute = Compute(torch.device(KIND), "fp32", "fast")
    together, alone = ([begun(tiny("bert"), method, compute) for _ in range(2)] for _ in range(2))
    for one in together:
        share_frozen(one.encoder, together[0].encoder)
    Abreast(together, Observer()).run()
    for mine, other in zip(together, alone, strict=True):
        other.run()
        losses = [[row.train_loss for row in one.curve] for one in (mine, other)]
        np.testing.assert_allclose(*losses, rtol=0, atol=1e-4)

"""On another device than the CPU: no operation mixes both, and nothing is read from it without need.

The device is simulated; what only a GPU has (its kernels, bf16 autocast, its own random stream) is in ``test_cuda.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance import contract
from conformance.contract import PLAIN, snapshot, tiny_spec
from families import FAMILIES
from simulated import DEVICE, at_hand

from welltuned import gathering, methods
from welltuned.engine import Compute
from welltuned.gathering import train_together
from welltuned.plan import candidate
from welltuned.pretrained import Pretrained
from welltuned.run import run, trial
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, TrainSpec
from welltuned.train import Training
from welltuned.workbench import Workbench

Find = Callable[[str], Pretrained]
SPEC = TrainSpec(lr=1e-3, epochs=3, batch_size=4, eval_batch_size=8)
FAST = Compute(DEVICE, "fp32", "fast")


def begun(origin: Pretrained, method: str, compute: Compute) -> Training:
    return contract.begun(origin, tiny_spec(method), SPEC, compute, (24, 9), dropout=False)


@pytest.mark.parametrize("method", methods.names())
@pytest.mark.parametrize(("engine", "family"), [("plain", "bert"), *(("fast", family) for family in FAMILIES)])
def test_training_goes_as_on_the_cpu(family: str, engine: str, method: str, tiny: Find) -> None:
    """And of a step numbers are read once, at its end, where the encoder's attention is ours."""
    alone = begun(tiny(family), method, PLAIN)
    alone.run()
    with at_hand() as reads:
        training = begun(tiny(family), method, Compute(DEVICE, "fp32", engine))
        assert all(one.device == DEVICE for one in training.encoder.parameters())
        training.run(until=2)
        reads.clear()
        training.encoder.train()
        training._take_step()
        if training.encoder.joins:
            assert reads == ["tolist"]
        training.run()
    losses = [[(row.train_loss, row.dev_loss) for row in one.curve] for one in (training, alone)]
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-5)


def test_a_state_goes_on_bit_for_bit(tiny: Find) -> None:
    with at_hand():
        whole, first, again = (begun(tiny("bert"), "full", FAST) for _ in range(3))
        whole.run()
        first.run(until=7)
        again.restore(first.snapshot())
        again.run()
        expected = snapshot(whole.encoder)
        assert all(torch.equal(value, expected[name]) for name, value in snapshot(again.encoder).items())


@pytest.mark.parametrize("method", methods.names())
def test_a_whole_run(method: str, plan: tuple[DataSpec, ModelSpec], tmp_path: Path, elsewhere: list[str]) -> None:
    tiny = "".join(f":{field}={value}" for field, value in methods.find(method).tiny.items())
    spec = candidate(method + tiny, {"batch_size": 8, "epochs": 2}).run(*plan, 0, ComputeSpec(device="cpu"))
    record = run(spec, tmp_path / "one", Workbench())
    assert elsewhere
    assert len(record.curve) == 2


@pytest.mark.usefixtures("elsewhere")
def test_heads_train_together_as_alone(
    plan: tuple[DataSpec, ModelSpec], tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WORTH", 0)
    options, compute = {"batch_size": 8, "epochs": 20}, ComputeSpec(device="cpu")
    specs = [candidate("head", {**options, "lr": lr}).run(*plan, 0, compute) for lr in (1e-3, 1e-2)]
    bench = Workbench()
    train_together(specs, tmp_path / "together", bench)
    together = [trial(spec, tmp_path / "together" / spec.name, bench) for spec in specs]
    assert steps == []
    alone = [trial(spec, tmp_path / "alone" / spec.name, Workbench()) for spec in specs]
    for mine, theirs in zip(together, alone, strict=True):
        losses = [[row.train_loss for row in one.curve] for one in (mine, theirs)]
        np.testing.assert_allclose(*losses, rtol=0, atol=1e-4)

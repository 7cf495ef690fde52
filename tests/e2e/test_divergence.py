"""A training that leaves the finite numbers, and the ways on from there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from welltuned import train
from welltuned.encoders import Encoder

from .conftest import Command

QUICK = ("--epochs", "2", "--max-length", "24", "--batch-size", "16", "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def steep(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A loss that is not a number from the third step on, as long as the rate is above a half of the planned one."""
    rates: list[float] = []
    real, passes = train.set_rate, [0]

    def noted(optimizer: Any, lr: float) -> None:
        rates.append(lr)
        real(optimizer, lr)

    def forward(self: Encoder, batch: Any) -> Any:
        logits = before(self, batch)
        if self.training and len(rates) >= 3 and rates[-1] > 0.6e-3:
            passes[0] += 1
            return logits * math.nan
        return logits

    before = Encoder.forward
    monkeypatch.setattr(train, "set_rate", noted)
    monkeypatch.setattr(Encoder, "forward", forward)
    assert issubclass(Encoder, nn.Module)
    return rates


def test_it_ends_with_code_5_and_can_be_gone_on_with(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path, steep: list[float]
) -> None:
    out = tmp_path / "out"
    asked = (
        "train", problem, "--model", bert, "--method", "head", "--lr", "1e-3", "--schedule", "constant",
        "--warmup-ratio", "0", "--out", out, "--save-steps", "1", *QUICK,
    )  # fmt: skip
    done = welltuned(*asked)
    assert done.code == 5, done.err
    assert "not finite at step 3 of the epoch" in done.err
    assert "--on-divergence rollback" in done.err
    assert len(steep) == 3
    assert [path.name[:8] for path in sorted((out / "checkpoint").iterdir())] == ["00000001", "00000002"]
    assert not (out / "record.json").exists()
    again = welltuned(*asked, "--on-divergence", "rollback")
    assert again.code == 0, again.err
    assert "goes on from the checkpoint at step 2" in again.err
    assert steep[3] == 1e-3
    assert set(steep[4:]) == {0.5e-3}
    (incident,) = json.loads((out / "record.json").read_text())["incidents"]
    assert (incident["kind"], incident["rate"], incident["step"]) == ("divergence", 0.5, 2)
    assert not (out / "checkpoint").exists()


def test_another_word_is_refused(welltuned: Command, problem: Path, tmp_path: Path) -> None:
    done = welltuned("train", problem, "--on-divergence", "pray", "--out", tmp_path / "o")
    assert done.code == 2
    assert "--on-divergence" in done.err

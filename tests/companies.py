"""What tests of trainings that go side by side have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from welltuned.gathering import train_together
from welltuned.record import RunRecord, read_arrays
from welltuned.run import trial
from welltuned.spec import RunSpec
from welltuned.train import Training
from welltuned.workbench import Workbench


def require_alike(one: Training, other: Training) -> None:
    """Two trainings went the same way, up to the rounding of a hundred steps."""
    assert one.step == other.step
    assert len(one.curve) == len(other.curve)
    for mine, theirs in zip(one.curve, other.curve, strict=True):
        for part in ("train_loss", "dev_loss", "grad_norm"):
            assert getattr(mine, part) == pytest.approx(getattr(theirs, part), abs=1e-4)
        assert (mine.train_accuracy, mine.dev_accuracy, mine.lr) == (
            theirs.train_accuracy,
            theirs.dev_accuracy,
            theirs.lr,
        )
    fit, alone = one.fit(), other.fit()
    np.testing.assert_allclose(fit.dev_logits, alone.dev_logits, atol=1e-4)
    assert (fit.best_epoch, fit.alarms, fit.incidents) == (alone.best_epoch, alone.alarms, alone.incidents)
    for name, tensor in fit.state.items():
        torch.testing.assert_close(tensor, alone.state[name], atol=1e-4, rtol=1e-4)


def trials(specs: list[RunSpec], folder: Path) -> list[RunRecord]:
    """Trials after what can be trained together was trained so."""
    bench = Workbench()
    train_together(specs, folder, bench)
    return [trial(spec, folder / spec.name, bench) for spec in specs]


def require_as_alone(records: list[RunRecord], folder: Path) -> None:
    """Trials in ``folder / "together"`` tell what each tells alone."""
    for record in records:
        alone = trial(record.spec, folder / "alone" / record.name, Workbench())
        assert (record.dev_accuracy, record.best_epoch) == (alone.dev_accuracy, alone.best_epoch)
        assert record.timings["shared"] == 0
        assert record.timings["train"] > 0
        one, two = (
            read_arrays(folder / where / record.name / "predictions.safetensors") for where in ("together", "alone")
        )
        np.testing.assert_allclose(one["dev.logits"], two["dev.logits"], atol=1e-5)

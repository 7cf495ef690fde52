"""What tests of trainings that go side by side have in common."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from welltuned.train import Training


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

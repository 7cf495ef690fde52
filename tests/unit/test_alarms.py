from __future__ import annotations

import numpy as np
import pytest

from welltuned.alarms import of_training
from welltuned.record import EpochRow

LABELS = np.array([0] * 6 + [1] * 4)


def logits(answers: list[int]) -> np.ndarray:
    return np.eye(2, dtype=np.float32)[answers]


def curve(*train_accuracy: float) -> list[EpochRow]:
    return [
        EpochRow(
            epoch=i + 1, train_loss=0.6, train_accuracy=accuracy, dev_loss=0.6, dev_accuracy=0.6, lr=1e-3,
            seconds=1, grad_norm=1,
        )
        for i, accuracy in enumerate(train_accuracy)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "accuracies", "kinds"),
    [
        ([0] * 6 + [1] * 4, (0.9,), []),
        ([0] * 6 + [1] + [0] * 3, (0.9,), []),  # 7 of 10: better than 6
        ([0] * 10, (0.9,), ["collapsed"]),
        ([1] * 10, (0.9,), ["collapsed"]),
        ([0] * 5 + [1] + [1] + [0] * 3, (0.9,), ["majority"]),  # 6 of 10: no better than 6
        ([1] * 6 + [0] * 4, (0.9,), ["majority"]),
        ([0] * 6 + [1] * 4, (0.6, 0.6, 0.61), ["not-learning"]),
        ([0] * 6 + [1] * 4, (0.6, 0.61), []),  # too early to tell
        ([0] * 6 + [1] * 4, (0.5, 0.6, 0.63), []),
        ([0] * 10, (0.6, 0.6, 0.6), ["collapsed", "not-learning"]),
    ],
)
def test_kinds(answers: list[int], accuracies: tuple[float, ...], kinds: list[str]) -> None:
    found = of_training(logits(answers), LABELS, curve(*accuracies))
    assert [alarm.kind for alarm in found] == kinds
    assert all(alarm.what and alarm.cause and alarm.mend for alarm in found)


def test_figures_are_named() -> None:
    (collapsed,) = of_training(logits([1] * 10), LABELS, curve(0.9))
    assert "40.00%" in collapsed.what
    assert "60.00%" in collapsed.cause
    (majority,) = of_training(logits([1] * 6 + [0] * 4), LABELS, curve(0.9))
    assert "0.00% against 60.00%" in majority.what

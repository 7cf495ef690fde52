"""Alarms: findings that make a figure untrustworthy, each with its likely cause and a mend."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from welltuned.record import Alarm, EpochRow

LOW_TRAIN_ACCURACY = 0.02


def of_training(logits: NDArray[np.float32], labels: NDArray[np.int64], curve: list[EpochRow]) -> list[Alarm]:
    """Alarms that the dev predictions [N, C] of the best epoch, their labels [N] and the curve give rise to."""
    counts = np.bincount(labels)
    majority = counts.max() / counts.sum()
    predicted = np.unique(logits.argmax(axis=1))
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    found = []
    if len(predicted) == 1:
        found.append(_collapsed(accuracy, float(majority)))
    elif accuracy <= majority:
        found.append(_no_better(accuracy, float(majority)))
    if curve[-1].train_accuracy < majority + LOW_TRAIN_ACCURACY and len(curve) >= 3:
        found.append(_not_learning(curve))
    return found


def _collapsed(accuracy: float, majority: float) -> Alarm:
    return Alarm(
        kind="collapsed",
        what=f"predicts one class for every dev row: {accuracy:.2%} is the share of that class, not a skill",
        cause=f"nothing was learned beyond the class balance (majority class {majority:.2%})",
        mend="try another learning rate, more epochs or more rows; check first that ten rows can be overfitted",
    )


def _no_better(accuracy: float, majority: float) -> Alarm:
    return Alarm(
        kind="majority",
        what=f"no better on dev than always saying the majority class ({accuracy:.2%} against {majority:.2%})",
        cause="the method has learned too little on these rows",
        mend="try another learning rate, more epochs or more rows",
    )


def _not_learning(curve: list[EpochRow]) -> Alarm:
    return Alarm(
        kind="not-learning",
        what=f"train accuracy is still {curve[-1].train_accuracy:.2%} after {len(curve)} epochs",
        cause="the rate is too low or too high, or the method has too little room for this problem",
        mend="try --overfit 10 with this method; if ten rows cannot be learned, the settings are at fault",
    )

"""A model that gives every row the same answer."""

from __future__ import annotations

import numpy as np

from welltuned.alarms._evidence import Training
from welltuned.record import Alarm


def one_class(run: Training) -> list[Alarm]:
    """All dev rows are given one class, though they have several."""
    if not run.late or len(np.unique(run.answers)) > 1 or len(np.unique(run.labels)) == 1:
        return []
    accuracy = float((run.answers == run.labels).mean())
    majority = np.bincount(run.labels).max() / len(run.labels)
    return [
        Alarm(
            kind="collapsed",
            what=f"predicts one class for every dev row: {accuracy:.2%} is the share of that class, not a skill",
            cause=f"nothing was learned beyond the class balance (majority class {majority:.2%})",
            mend="try another learning rate, more epochs or more rows; check first that ten rows can be overfitted",
        )
    ]

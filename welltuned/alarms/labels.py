"""Labels that may be wrong: rows that every run gets wrong, and is sure of."""

from __future__ import annotations

import numpy as np

from welltuned.alarms._evidence import Logits, Panel, probabilities
from welltuned.record import Alarm, Suspect

SURE = 0.9
MOST = 50
SHARE, ROWS = 0.01, 3


def suspicious(panel: Panel) -> list[Alarm]:
    """At least 3 dev rows, and 1% of them, are such that every run says the same other class with confidence."""
    found = suspects(panel, most=None)
    if len(found) < max(ROWS, SHARE * len(panel.labels)):
        return []
    return [
        Alarm(
            kind="label-noise",
            what=f"{len(found):,} of {len(panel.labels):,} dev rows are given another class than their label by every "
            f"run, each with a probability of {SURE:.0%} or more",
            cause="these labels may be wrong, or the rows are of a kind that the training rows do not show",
            mend="read the rows listed under suspects; correct or drop those whose label is wrong",
        )
    ]


def _skilled(panel: Panel) -> list[Logits]:
    """[N, C] of every run that is better on dev than the majority class."""
    chance = (panel.majority.argmax(axis=1) == panel.labels).mean()
    runs = [run for logits in panel.logits.values() for run in logits]
    return [run for run in runs if (run.argmax(axis=1) == panel.labels).mean() > chance]


def suspects(panel: Panel, most: int | None = MOST) -> list[Suspect]:
    """Rows that two or more runs, and all that beat the majority class, get wrong alike with confidence."""
    runs = _skilled(panel)
    if len(runs) < 2:
        return []
    shares = probabilities(np.stack(runs))  # [R, N, C]
    answers = shares.argmax(axis=2)
    alike = (answers == answers[0]).all(axis=0) & (answers[0] != panel.labels)
    confidence = shares.max(axis=2).min(axis=0)
    rows = np.flatnonzero(alike & (confidence >= SURE))
    order = rows[np.argsort(-confidence[rows], kind="stable")][:most]
    return [
        Suspect(
            row=int(row), label=int(panel.labels[row]), said=int(answers[0, row]), confidence=float(confidence[row])
        )
        for row in order
    ]

"""Problems that can be solved without reading both texts."""

from __future__ import annotations

import numpy as np

from welltuned.alarms._evidence import Panel, better_by_chance
from welltuned.record import Alarm

LEVEL = 0.01
NEARLY = 0.8
"""Share of what the best configuration gains over the majority class."""


def one_text_is_enough(panel: Panel) -> list[Alarm]:
    """TF-IDF on one text alone beats the majority class, and gains 80% of what the best configuration gains."""
    majority = panel.majority.argmax(axis=1) == panel.labels
    best = max(float((logits.argmax(axis=2) == panel.labels).mean()) for logits in panel.logits.values())
    gain = best - majority.mean()
    alarms = []
    for name, logits in panel.alone.items():
        right = logits.argmax(axis=1) == panel.labels
        own = right.mean() - majority.mean()
        if own > 0 and own >= NEARLY * gain and better_by_chance(right, majority) <= LEVEL:
            alarms.append(_alarm(name, float(right.mean()), best, float(np.mean(majority))))
    return alarms


def _alarm(name: str, alone: float, best: float, majority: float) -> Alarm:
    return Alarm(
        kind="shortcut",
        what=f"{name}, reaches {alone:.2%} on dev, against {best:.2%} for the best "
        f"configuration and {majority:.2%} for the majority class",
        cause="the labels can be guessed from one text, so a high score need not mean that both are read",
        mend="balance the labels within each question and each passage, or test on rows where the shortcut fails",
    )

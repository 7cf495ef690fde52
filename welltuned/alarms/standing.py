"""Models that are no better than what costs nothing: the majority class, and TF-IDF with logistic regression."""

from __future__ import annotations

import numpy as np

from welltuned.alarms._evidence import Standing, Training, better_by_chance
from welltuned.record import Alarm

LEVEL = 0.05


def no_better_than_majority(run: Training) -> list[Alarm]:
    """Not shown to be above the majority class on dev (one-sided exact McNemar test at 5%)."""
    if not run.late or len(np.unique(run.answers)) == 1:
        return []  # the case of one class has an alarm of its own
    right = run.answers == run.labels
    majority = run.labels == np.bincount(run.labels).argmax()
    p = better_by_chance(right, majority)
    if p <= LEVEL:
        return []
    how = "no better" if right.mean() <= majority.mean() else f"not shown to be better (p = {p:.2f})"
    return [
        Alarm(
            kind="majority",
            what=f"{how} on dev than always saying the majority class ({right.mean():.2%} against "
            f"{majority.mean():.2%})",
            cause="the method has learned too little on these rows, or the labels do not follow from the texts",
            mend="try another learning rate, more epochs or more rows; read twenty rows with their labels",
        )
    ]


def no_better_than_tfidf(one: Standing) -> list[Alarm]:
    """Mean dev accuracy over seeds is not above that of TF-IDF with logistic regression."""
    accuracy = float((one.logits.argmax(axis=2) == one.labels).mean())
    plain = float((one.baseline.argmax(axis=1) == one.labels).mean())
    if accuracy > plain:
        return []
    return [
        Alarm(
            kind="tfidf",
            what=f"no better on dev than TF-IDF with logistic regression ({accuracy:.2%} against {plain:.2%})",
            cause="counting words is enough for this problem, or the model has not learned to read it yet",
            mend="use the cheaper one, or give the model more rows, more epochs or another learning rate",
        )
    ]

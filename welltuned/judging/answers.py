"""Answers of one configuration, and what is measured on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from welltuned import stats
from welltuned.record import Cost, Measures, Score

Correct = NDArray[np.bool_]
Ints = NDArray[np.int64]
Logits = NDArray[np.float32]
LEVEL = 0.95
MARGIN = 0.01
MOST_CLASSES = 20
"""With more classes the confusion matrix is left out of records; the most confused pairs stay."""


@dataclass(frozen=True)
class Terms:
    """By what is judged.

    Attributes:
        level: of every interval and family of statements.
        margin: a difference under it does not matter, as a share of accuracy.
        cost: what the cheapest configuration has least of.
    """

    level: float = LEVEL
    margin: float = MARGIN
    cost: Cost = "trained parameters"


@dataclass(frozen=True)
class Answers:
    """The logits [S, N, C] of one configuration's seeds on one split."""

    logits: Logits
    labels: Ints

    @property
    def correct(self) -> Correct:
        """[S, N] whether each seed's run has each row right."""
        right: Correct = self.logits.argmax(axis=2) == self.labels
        return right


def score(correct: Correct, terms: Terms, *, deterministic: bool = False) -> Score:
    """The accuracy of correctness [S, N] with its interval."""
    summary = stats.accuracy_summary(correct, terms.level, deterministic=deterministic)
    return Score(accuracy=summary.mean, low=summary.interval.lower, high=summary.interval.upper, level=terms.level)


def measures(answers: Answers, names: Sequence[str]) -> Measures:
    """F1, MCC, log-loss and calibration: means over seeds; confusions and the reliability curve over all seeds."""
    each = [stats.scores(logits.astype(np.float64), answers.labels) for logits in answers.logits]
    pooled = stats.scores(np.concatenate(answers.logits).astype(np.float64), np.tile(answers.labels, len(each)))
    confusion = np.array(pooled.confusion)
    wrong = confusion - np.diag(np.diag(confusion))
    worst = [divmod(int(at), len(names)) for at in np.argsort(-wrong, axis=None, kind="stable")[:10]]
    return Measures(
        f1=float(np.mean([one.f1 for one in each])),
        f1_of=names[1] if len(names) == 2 else "all classes, unweighted",
        mcc=float(np.mean([one.mcc for one in each])),
        log_loss=float(np.mean([one.log_loss for one in each])),
        ece=float(np.mean([one.ece for one in each])),
        ece_adaptive=float(np.mean([one.ece_adaptive for one in each])),
        confusion=confusion.tolist() if len(names) <= MOST_CLASSES else None,
        confused=[(names[true], names[said], int(wrong[true, said])) for true, said in worst if wrong[true, said]],
        confidence=list(pooled.curve.confidence),
        accuracy=list(pooled.curve.accuracy),
        count=list(pooled.curve.count),
    )

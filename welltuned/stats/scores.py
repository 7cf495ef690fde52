"""The scores of one trained model, from its logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, matthews_corrcoef

from welltuned.errors import DataError, DivergedError, UsageError
from welltuned.stats.calibration import Reliability, reliability


@dataclass(frozen=True)
class Scores:
    """Scores of one model on N items with C classes.

    Attributes:
        n: N.
        accuracy: share of items whose highest logit is the label's (the first of equals counts).
        f1: of the positive class with two classes, else the unweighted mean over classes; a class never
            predicted and never present counts 0.
        mcc: Matthews correlation coefficient; 0 where one class is all there is.
        log_loss: mean negative log-probability of the label, in nats.
        ece: expected calibration error, 15 bins of equal width.
        ece_adaptive: the same with 15 bins of equally many items.
        confusion: confusion[true][predicted], counts.
        curve: the reliability curve behind ``ece``.
    """

    n: int
    accuracy: float
    f1: float
    mcc: float
    log_loss: float
    ece: float
    ece_adaptive: float
    confusion: tuple[tuple[int, ...], ...]
    curve: Reliability


def _check(logits: NDArray[Any], labels: NDArray[Any], positive: int) -> None:
    if logits.ndim != 2 or logits.shape[1] < 2 or not len(logits) or labels.shape != logits.shape[:1]:
        raise DataError(
            "logits and labels do not fit together",
            where="scores",
            why=f"shapes {logits.shape} and {labels.shape}",
            mend="pass logits [N, C] with C >= 2 and labels [N]",
        )
    if not np.isfinite(logits).all():
        raise DivergedError("the logits hold values that are not finite", where="scores")
    classes = logits.shape[1]
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"a label lies outside 0..{classes - 1}", where="scores")
    if not 0 <= positive < classes:
        raise UsageError(f"the positive class {positive} lies outside 0..{classes - 1}", where="positive")


def _mcc(labels: NDArray[Any], predicted: NDArray[Any]) -> float:
    # scikit-learn warns of a single class instead of saying 0.
    if np.unique(np.concatenate([labels, predicted])).size == 1:
        return 0.0
    return float(matthews_corrcoef(labels, predicted))


def scores(logits: NDArray[Any], labels: NDArray[Any], *, positive: int = 1, bins: int = 15) -> Scores:
    """Score logits [N, C] against labels [N].

    Args:
        logits: [N, C], finite, C >= 2.
        labels: [N] class indices.
        positive: the class whose F1 is reported when C = 2.
        bins: bins of both calibration errors.

    Raises:
        DataError: shapes that do not fit, or labels outside 0..C-1.
        DivergedError: logits that are not finite.
        UsageError: a positive class that does not exist.
    """
    _check(logits, labels, positive)
    n, classes = logits.shape
    log_p = log_softmax(logits.astype(np.float64), axis=1)  # [N, C]
    predicted = logits.argmax(axis=1)  # [N]
    confidence, correct = np.exp(log_p.max(axis=1)), predicted == labels  # [N], [N]
    average = {"average": "binary", "pos_label": positive} if classes == 2 else {"average": "macro"}
    curve = reliability(confidence, correct, bins=bins)
    table = confusion_matrix(labels, predicted, labels=range(classes))
    return Scores(
        n=n,
        accuracy=float(accuracy_score(labels, predicted)),
        f1=float(f1_score(labels, predicted, labels=range(classes), zero_division=0, **average)),
        mcc=_mcc(labels, predicted),
        # From the logits directly: scikit-learn's clips probabilities, so a confident error costs less.
        log_loss=float(-log_p[np.arange(n), labels].mean()),
        ece=curve.error,
        ece_adaptive=reliability(confidence, correct, bins=bins, binning="mass").error,
        confusion=tuple(tuple(row) for row in table.tolist()),
        curve=curve,
    )

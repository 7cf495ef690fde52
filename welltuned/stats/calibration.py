"""Do probabilities mean what they say? Reliability curve and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from welltuned.errors import UsageError
from welltuned.stats.variance import Bools, Floats

Binning = Literal["width", "mass"]


@dataclass(frozen=True)
class Reliability:
    """The reliability curve: one point for each bin that holds items.

    Attributes:
        confidence: mean confidence of the items in each bin.
        accuracy: share of them that is right.
        count: how many they are.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    count: tuple[int, ...]

    @property
    def error(self) -> float:
        """Expected calibration error: mean gap of confidence and accuracy, weighted by count."""
        gaps = np.abs(np.subtract(self.confidence, self.accuracy))
        return float(np.average(gaps, weights=self.count))


def _edges(confidence: Floats, bins: int, binning: Binning) -> Floats:
    """Inner bin edges: equal width on [0, 1], or quantiles (equal values are never divided)."""
    shares = np.arange(1, bins) / bins
    if binning == "width":
        return shares
    quantiles: Floats = np.unique(np.quantile(confidence, shares, method="lower"))
    return quantiles


def reliability(confidence: Floats, correct: Bools, *, bins: int = 15, binning: Binning = "width") -> Reliability:
    """Reliability curve of N predictions.

    Args:
        confidence: [N] probability of the predicted class.
        correct: [N] whether it is the label.
        bins: number of bins.
        binning: "width" for bins of equal width on [0, 1] (Naeini et al. 2015, Guo et al. 2017), "mass"
            for bins of equally many items (adaptive; Nguyen and O'Connor 2015).

    Raises:
        UsageError: no items, lengths that differ, or fewer than one bin.
    """
    if bins < 1 or confidence.ndim != 1 or confidence.shape != correct.shape or not confidence.size:
        raise UsageError(
            "a reliability curve needs equally many confidences and outcomes, and at least one bin",
            where="reliability",
            why=f"shapes {confidence.shape} and {correct.shape}, {bins} bins",
        )
    # Bins are half-open, (lower, upper], as in Guo et al.
    place = np.searchsorted(_edges(confidence, bins, binning), confidence, side="left")
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    mean = np.bincount(place, confidence, bins)[filled] / count[filled]
    share = np.bincount(place, correct.astype(np.float64), bins)[filled] / count[filled]
    return Reliability(tuple(mean.tolist()), tuple(share.tolist()), tuple(count[filled].tolist()))

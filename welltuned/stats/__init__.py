"""Intervals, paired tests, power and multiplicity: what a test set lets one say.

Correctness is boolean [S, N]: S seeds, N test items, the same items for every method. Accuracies and
differences are fractions. What is claimed, and how well it holds, stands in docs/statistics.md.
"""

from welltuned.stats.calibration import Reliability, reliability
from welltuned.stats.equivalence import MarginTest, equivalence, noninferiority
from welltuned.stats.family import Candidate, Contrast, contrasts
from welltuned.stats.intervals import AccuracySummary, Interval, accuracy_summary, tango, wilson
from welltuned.stats.multiplicity import holm, simultaneous
from welltuned.stats.paired import PairedResult, compare_pair
from welltuned.stats.power import Design, power, smallest_detectable
from welltuned.stats.scores import Scores, scores
from welltuned.stats.trials import ExpectedBest, expected_best
from welltuned.stats.verdict import Verdict, detectable, verdict

__all__ = [
    "AccuracySummary",
    "Candidate",
    "Contrast",
    "Design",
    "ExpectedBest",
    "Interval",
    "MarginTest",
    "PairedResult",
    "Reliability",
    "Scores",
    "Verdict",
    "accuracy_summary",
    "compare_pair",
    "contrasts",
    "detectable",
    "equivalence",
    "expected_best",
    "holm",
    "noninferiority",
    "power",
    "reliability",
    "scores",
    "simultaneous",
    "smallest_detectable",
    "tango",
    "verdict",
    "wilson",
]

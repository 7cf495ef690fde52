"""Rows cut off at the limit of tokens, in one class more than in another."""

from __future__ import annotations

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact

from welltuned.alarms._evidence import Reading
from welltuned.record import Alarm

LEVEL = 0.01
LEAST = 0.05
"""A difference in shares of cut rows that matters."""


def by_class(read: Reading) -> list[Alarm]:
    """The share of cut rows differs by class: at least 5 points, and significant at 1% (Fisher, or chi-squared)."""
    classes = np.unique(read.labels)
    table = np.array([[int((read.cut & (read.labels == one)).sum()) for one in classes],
                      [int((~read.cut & (read.labels == one)).sum()) for one in classes]])  # fmt: skip
    if len(classes) < 2 or not table.sum(axis=1).all():
        return []
    p = float(fisher_exact(table).pvalue if len(classes) == 2 else chi2_contingency(table).pvalue)
    shares = table[0] / table.sum(axis=0)
    most, least = int(shares.argmax()), int(shares.argmin())
    if p > LEVEL or shares[most] - shares[least] < LEAST:
        return []
    return [
        Alarm(
            kind="truncation",
            what=f"at {read.max_length} tokens {shares[most]:.1%} of the {read.split} rows of class "
            f"{read.names[classes[most]]!r} are cut, and {shares[least]:.1%} of class {read.names[classes[least]]!r} "
            f"(p = {p:.2g})",
            cause="rows of one class are longer, so that length alone tells the class, or the end that decides is lost",
            mend="raise --max-length, or shorten the texts of all classes alike before training",
        )
    ]

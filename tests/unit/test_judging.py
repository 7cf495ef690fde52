from __future__ import annotations

import numpy as np

from welltuned import stats
from welltuned.judging import statement


def test_a_statement_is_told_from_the_winner() -> None:
    """B is right on 90 of 100 items, A on 50 of them: the difference A - B is negative, the sentence's is not."""
    a, b = np.arange(100) < 50, np.arange(100) < 90
    (pair,) = stats.contrasts([(stats.Candidate("A", 1, a[None]), stats.Candidate("B", 1, b[None]))])
    said = statement(pair)
    assert said.difference == -0.4
    assert said.high < 0
    assert said.significant
    assert said.sentence.startswith("B beats A: +40.0 points [+")

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from welltuned.capacity.bisection import Trial, largest


def machine(fixed: int, slope: float, limit: int, bend: float = 0.0, stops: bool = False):
    """A process whose peak is a line in the rows, bent upwards by ``bend``; stopped on its way past the limit."""

    def tried(rows: int) -> Trial:
        peak = int(fixed + slope * rows + bend * rows * math.log2(rows))
        return Trial(rows, peak <= limit, None if stops and peak > limit else peak, 0.1)

    return tried


def found(trials: list[Trial]) -> int:
    return max((trial.rows for trial in trials if trial.fits), default=0)


@given(
    fixed=st.integers(0, 10**6), slope=st.floats(1, 10**5), limit=st.integers(1, 10**7), cap=st.integers(1, 5000),
    bend=st.floats(0, 100), stops=st.booleans(), guess=st.integers(0, 10_000),
)  # fmt: skip
def test_the_answer_is_exact_whatever_was_guessed(
    fixed: int, slope: float, limit: int, cap: int, bend: float, stops: bool, guess: int
) -> None:
    tried = machine(fixed, slope, limit, bend, stops)
    trials = largest(tried, lambda single: guess, limit, cap)
    most = found(trials)
    assert most == max((rows for rows in range(1, cap + 1) if tried(rows).fits), default=0)
    assert most in (0, cap) or any(trial.rows == most + 1 and not trial.fits for trial in trials)
    assert len({trial.rows for trial in trials}) == len(trials), "none is tried twice"


@pytest.mark.parametrize("limit", [10**6, 10**7, 10**8])
def test_a_straight_line_takes_few_trials(limit: int) -> None:
    trials = largest(machine(300_000, 1234.5, limit), lambda single: int(0.9 * limit / 1234.5), limit, 10**6)
    assert len(trials) <= 7


def test_not_even_one_row() -> None:
    assert found(largest(machine(100, 1, 50), lambda single: 10, 50, 10)) == 0

"""The largest batch that fits, by few trials: each costs a process, so each is aimed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

AIM = 0.8
"""The second trial takes this share of the guess (all rows if that is enough): likely to fit, and far enough out to
measure the slope on."""


@dataclass(frozen=True)
class Trial:
    """One batch tried in a process of its own.

    Attributes:
        rows: B.
        fits: whether it stayed within the limit.
        peak: the process's peak in bytes; None where it was stopped on its way.
        seconds: of the process, from its start.
    """

    rows: int
    fits: bool
    peak: int | None
    seconds: float


def largest(tried: Callable[[int], Trial], guessed: Callable[[Trial], int], limit: int, cap: int) -> list[Trial]:
    """Try batches until B fits and B + 1 does not, or ``cap`` fits, or one row does not.

    Memory grows in a straight line with the rows, so the line through the two largest trials that fit says where the
    limit lies. Where it leads astray the bracket is halved instead.

    Args:
        tried: runs a batch of so many rows.
        guessed: the largest batch by prediction, given the trial of one row.
        limit: bytes.
        cap: no larger batch is asked for; at least 1.

    Returns:
        All trials in their order; the largest that fits is the answer.
    """
    trials = [tried(1)]
    if not trials[0].fits or cap == 1:
        return trials
    low, high, stride, halve = 1, cap + 1, 1, False
    aim = min(cap, int(AIM * guessed(trials[0])))
    while high - low > 1:
        width, bounded = high - low, high <= cap
        if not bounded:
            aim = max(aim, low + stride)
            stride *= 2
        rows = (low + high) // 2 if halve else min(max(aim, low + 1), high - 1)
        trials.append(tried(rows))
        low, high = (rows, high) if trials[-1].fits else (low, rows)
        halve = bounded and 2 * (high - low) > width + 1
        aim = _on_the_line(trials, limit)
    return trials


def _on_the_line(trials: list[Trial], limit: int) -> int:
    """Rows at which the line through the two largest trials that fit meets the limit; half way back with only one."""
    fitting = sorted((trial.rows, trial.peak) for trial in trials if trial.fits and trial.peak is not None)
    if len(fitting) < 2:
        return min(trial.rows for trial in trials if not trial.fits) // 2
    (a, below), (b, above) = fitting[-2:]
    slope = max(1.0, (above - below) / (b - a))
    return b + int((limit - above) / slope)

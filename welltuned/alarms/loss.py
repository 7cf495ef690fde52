"""Losses that leave the finite numbers, or grow instead of falling."""

from __future__ import annotations

import math

from welltuned.alarms._evidence import Failure, Training
from welltuned.errors import DivergedError
from welltuned.record import Alarm

GROWTH = 2.0
OVER_CHANCE = 1.5


def exploding(run: Training) -> list[Alarm]:
    """An epoch's training loss is twice the lowest before it, and 1.5 times that of guessing at random."""
    chance = math.log(run.logits.shape[1])
    lowest = math.inf
    for row in run.curve:
        if row.train_loss > max(GROWTH * lowest, OVER_CHANCE * chance):
            return [
                Alarm(
                    kind="exploding",
                    what=f"the training loss rose from {lowest:.3g} to {row.train_loss:.3g} in epoch {row.epoch} "
                    f"(guessing costs {chance:.3g})",
                    cause="the learning rate is too high for this method, or gradients are not clipped",
                    mend="try a learning rate of a third, more warmup, or a lower --max-grad-norm",
                )
            ]
        lowest = min(lowest, row.train_loss)
    return []


def not_finite(failure: Failure) -> list[Alarm]:
    """Training was broken off at a loss, gradient or logit that is not finite."""
    error = failure.error
    if not isinstance(error, DivergedError):
        return []
    return [
        Alarm(
            kind="not-finite",
            what=error.what,
            cause=error.why or "the learning rate is too high for this method",
            mend=error.mend or "try a learning rate of a third, or more warmup",
        )
    ]

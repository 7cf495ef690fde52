"""What a curve of epochs tells: training that does not take, a peak long past, a rate that does not follow its plan."""

from __future__ import annotations

import math

from welltuned.alarms._evidence import MANY_EPOCHS, Training
from welltuned.record import Alarm

LOW_TRAIN_ACCURACY = 0.02
LONG_PAST = 3
LOST = 0.02
ERRORS = 2.0
OFF_PLAN = 0.01


def not_learning(run: Training) -> list[Alarm]:
    """After three epochs or more the training rows are still answered as by the majority class."""
    last = run.curve[-1]
    if len(run.curve) < MANY_EPOCHS or last.train_accuracy >= run.train_majority + LOW_TRAIN_ACCURACY:
        return []
    return [
        Alarm(
            kind="not-learning",
            what=f"train accuracy is still {last.train_accuracy:.2%} after {len(run.curve)} epochs (majority class "
            f"{run.train_majority:.2%})",
            cause="the rate is too low or too high, the method has too little room, or labels are mixed up",
            mend="try --overfit 10 with this method; if ten rows cannot be learned, the settings are at fault",
        )
    ]


def long_past_its_peak(run: Training) -> list[Alarm]:
    """Three epochs or more after the best one, dev accuracy has fallen by two points and by two standard errors."""
    best = max(run.curve, key=lambda row: (row.dev_accuracy, -row.epoch))
    last = run.curve[-1]
    lost = best.dev_accuracy - last.dev_accuracy
    middle = (best.dev_accuracy + last.dev_accuracy) / 2
    error = math.sqrt(middle * (1 - middle) / max(1, len(run.labels)))
    if last.epoch - best.epoch < LONG_PAST or lost < max(LOST, ERRORS * error):
        return []
    return [
        Alarm(
            kind="peak-past",
            what=f"dev accuracy was best at epoch {best.epoch} ({best.dev_accuracy:.2%}) and fell to "
            f"{last.dev_accuracy:.2%} by epoch {last.epoch}",
            cause="the training rows are being learned by heart; the best epoch is kept, the others cost time",
            mend=f"train {best.epoch + 1} epochs, use --patience 2, a lower learning rate, or fewer trained parameters",
        )
    ]


def off_schedule(run: Training) -> list[Alarm]:
    """The optimizer's learning rate at the end of an epoch is not what the schedule says."""
    planned = [row for row in run.curve if row.planned_lr is not None]
    peak = max((row.planned_lr or 0.0 for row in planned), default=0.0)
    for row in planned:
        if abs(row.lr - (row.planned_lr or 0.0)) > OFF_PLAN * peak:
            return [
                Alarm(
                    kind="schedule",
                    what=f"the learning rate at the end of epoch {row.epoch} was {row.lr:.3g} and should have been "
                    f"{row.planned_lr:.3g}",
                    cause="the scheduler steps another optimizer than the one that trains, or not once a step",
                    mend="make the scheduler from the optimizer whose step() is called, and step both together",
                )
            ]
    return []

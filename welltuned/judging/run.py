"""What can be said of a single run: its scores, when dev turned, and whether it has learned anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from welltuned import stats
from welltuned.judging.answers import LEVEL, Answers, Correct, Ints, measures
from welltuned.record import Measures, RunRecord, Score


@dataclass(frozen=True)
class RunJudgement:
    """What is said of a single run; its fields stand in the record under the same names."""

    dev: Score
    test: Score | None
    majority_dev: float
    learned: bool | None
    measures: Measures | None
    verdict: str


def judge_run(record: RunRecord, arrays: dict[str, NDArray[Any]], labels: Ints | None) -> RunJudgement:
    """Judge a single run by its predictions; ``labels`` [M] are None where it was to overfit a few rows."""
    dev = arrays["dev.labels"]
    majority = float(np.bincount(dev).max() / len(dev)) if len(dev) else 0.0
    test = None if labels is None else _wilson(arrays["test.logits"].argmax(axis=1) == labels)
    return RunJudgement(
        dev=_wilson(arrays["dev.logits"].argmax(axis=1) == dev),
        test=test,
        majority_dev=majority,
        learned=None if record.spec.train.overfit is None else record.dev_accuracy == 1.0,
        measures=None if labels is None else measures(Answers(arrays["test.logits"][None], labels), record.labels),
        verdict=_overfitted(record) if test is None else _verdict(record, test, majority),
    )


def _wilson(correct: Correct) -> Score:
    interval = stats.wilson(int(correct.sum()), len(correct), LEVEL)
    return Score(accuracy=float(correct.mean()), low=interval.lower, high=interval.upper, level=LEVEL)


def _verdict(record: RunRecord, test: Score, majority: float) -> str:
    against = "above" if record.dev_accuracy > majority else "no better than"
    last = record.curve[-1]
    turned = (
        f"; after that peak {100 * record.lost_after_peak:.1f} points of dev were lost by epoch {last.epoch}, while "
        f"train went on to {last.train_accuracy:.1%}"
        if record.lost_after_peak > 0
        else ""
    )
    return (
        f"test accuracy {test.accuracy:.1%} [{test.low:.1%}, {test.high:.1%}]; dev {record.dev_accuracy:.1%} at epoch "
        f"{record.best_epoch} of {len(record.curve)}, {against} the majority class's {majority:.1%}{turned}"
    )


def _overfitted(record: RunRecord) -> str:
    rows = record.rows["dev"]
    right = round(record.dev_accuracy * rows)
    if right == rows:
        first = next(row.epoch for row in record.curve if row.dev_accuracy == 1.0)
        return f"learned: all {rows} rows are right from epoch {first} on, so training works"
    return f"not learned: {right} of {rows} rows are right after {len(record.curve)} epochs; {_cause(record)}"


def _cause(record: RunRecord) -> str:
    """Why a few rows were not learned, as far as the curve tells."""
    losses = [row.train_loss for row in record.curve]
    lr, usual = record.spec.train.lr, f"this method starts from --lr {record.usual_lr:g}"
    if losses[-1] > 1.2 * min(losses) and losses[-1] > 0.5 * losses[0]:
        return (
            f"the loss jumps from {min(losses):.2f} to {losses[-1]:.2f}: the learning rate {lr:g} is too high; {usual}"
        )
    if losses[-1] < 0.8 * losses[0]:
        return f"the loss is still falling ({losses[0]:.2f} to {losses[-1]:.2f}): more epochs are likely to do it"
    if lr >= record.usual_lr:
        return (
            f"the loss hardly moves at a learning rate of {lr:g}: it is too high, or two of these rows are the same "
            f"text with different labels (welltuned check tells); {usual}"
        )
    return f"the loss hardly moves: the learning rate {lr:g} is too low for so few steps; {usual}"

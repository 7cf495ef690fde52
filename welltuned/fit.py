"""What a training has found: at a step, over an epoch, at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from welltuned.answering import Logits, cross_entropy
from welltuned.batches import Ints
from welltuned.record import Alarm, EpochRow, Incident


@dataclass(frozen=True)
class Fit:
    """What training found.

    Attributes:
        curve: one row an epoch.
        best_epoch: the epoch with the best dev accuracy (of equals the lower dev loss, then the earlier).
        state: the trained tensors of that epoch.
        dev_logits: [N, C] of that epoch.
        seconds: training alone, and evaluation on dev.
        alarms: what was found wrong with the training.
        incidents: what it met and got over.
    """

    curve: list[EpochRow]
    best_epoch: int
    state: Mapping[str, Tensor]
    dev_logits: Logits
    seconds: dict[str, float]
    alarms: list[Alarm]
    incidents: list[Incident]


@dataclass(frozen=True)
class Step:
    """One optimizer step: its rows, their mean loss and right answers, the gradient's norm before clipping."""

    rows: int
    loss: float
    right: int
    norm: float
    lr: float
    seconds: float


@dataclass
class Totals:
    """Sums over an epoch's steps; ``lr`` is of the last."""

    loss: float = 0.0
    right: int = 0
    rows: int = 0
    norm: float = 0.0
    lr: float = 0.0
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Best:
    """The best epoch so far, its trained tensors in main memory and its dev logits [N, C]."""

    epoch: int
    state: dict[str, Tensor]
    logits: Logits


def scored(logits: Tensor, labels: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy of some of a step's rows.

    Args:
        logits: [B, C].
        labels: [B].
        share: what these rows are of the step's.

    Returns:
        The loss times ``share``, and that with the number of right answers, [2] float64 without gradient.
    """
    loss = nn.functional.cross_entropy(logits.float(), labels)
    if share < 1:
        loss = loss * share
    return loss, torch.stack([loss.detach(), (logits.argmax(dim=1) == labels).sum()]).double()


def score(row: EpochRow) -> tuple[float, float]:
    """Dev accuracy; of equals the lower loss."""
    return row.dev_accuracy, -row.dev_loss


def row_of(epoch: int, totals: Totals, logits: Logits, labels: Ints, planned: float, seconds: float) -> EpochRow:
    """An epoch's row of the curve.

    Args:
        logits: [N, C] of dev after it.
        labels: [N] of dev.
        planned: the learning rate that its last step was to have.
        seconds: of training and of the answers to dev.
    """
    return EpochRow(
        epoch=epoch,
        train_loss=totals.loss / totals.rows,
        train_accuracy=totals.right / totals.rows,
        dev_loss=cross_entropy(logits, labels),
        dev_accuracy=float((logits.argmax(axis=1) == labels).mean()),
        lr=totals.lr,
        seconds=seconds,
        grad_norm=totals.norm / totals.steps,
        planned_lr=planned,
    )

"""THE training loop: one, readable, and without knowledge of any method; the best epoch on dev is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from welltuned.batches import Batch, Ints, TokenizedSplit, epoch_batches, sorted_batches
from welltuned.encoders import Encoder
from welltuned.engine import Compute, seed_everything
from welltuned.errors import DivergedError
from welltuned.methods._base import Method
from welltuned.optimizer import adamw, gradient, rate
from welltuned.progress import Observer
from welltuned.record import Alarm, EpochRow
from welltuned.spec import TrainSpec
from welltuned.watch import Watch

Logits = NDArray[np.float32]


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
    """

    curve: list[EpochRow]
    best_epoch: int
    state: Mapping[str, Tensor]
    dev_logits: Logits
    seconds: dict[str, float]
    alarms: list[Alarm]


def fit(
    encoder: Encoder,
    method: Method[Any],
    train: TokenizedSplit,
    dev: TokenizedSplit,
    spec: TrainSpec,
    compute: Compute,
    observer: Observer,
    watch: Watch | None = None,
) -> Fit:
    """Train an encoder that a method is attached to, and leave it in the state of its best epoch.

    Args:
        train, dev: labelled splits.
        watch: looks on; one of its own where none is given.

    Raises:
        DivergedError: a loss or gradient is not finite; the weights are those before that step.
    """
    seed_everything(spec.seed)
    optimizer = adamw(encoder, spec, compute)
    per_epoch = math.ceil(len(train) / spec.batch_size)
    factor = rate(spec, per_epoch * spec.epochs)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    labels = dev.known_labels
    watch = watch or Watch(train.known_labels, labels, observer)
    watch.started(encoder)
    curve: list[EpochRow] = []
    best: tuple[tuple[float, float], int, dict[str, Tensor], Logits] | None = None
    training = evaluating = 0.0
    for epoch in range(1, spec.epochs + 1):
        started = time.perf_counter()
        observer.stage(f"epoch {epoch}/{spec.epochs}", len(train))
        batches = epoch_batches(train, spec.batch_size, spec.seed, epoch)
        totals = _train_epoch(encoder, train, batches, optimizer, scheduler, spec, compute, observer, watch)
        training += time.perf_counter() - started
        middle = time.perf_counter()
        logits = predict(encoder, dev, spec.eval_batch_size, compute)
        evaluating += time.perf_counter() - middle
        planned = spec.lr * factor(epoch * per_epoch - 1)
        row = _row(epoch, totals, logits, labels, planned, time.perf_counter() - started)
        curve.append(row)
        observer.epoch(row, spec.epochs)
        watch.epoch(curve, logits)
        score = (row.dev_accuracy, -row.dev_loss)
        if best is None or score > best[0]:
            best = (score, epoch, method.state(encoder), logits)
        if spec.patience is not None and epoch - best[1] >= spec.patience:
            observer.say(f"stopped after epoch {epoch}: no better on dev since epoch {best[1]}")
            break
    assert best is not None
    method.load_state(encoder, best[2])
    alarms = watch.ended(curve, best[3])
    return Fit(curve, best[1], best[2], best[3], {"train": training, "dev": evaluating}, alarms)


@dataclass
class _Totals:
    """Sums over an epoch's steps."""

    loss: float = 0.0
    right: int = 0
    rows: int = 0
    norm: float = 0.0
    lr: float = 0.0
    steps: int = 0


def _train_epoch(
    encoder: Encoder,
    train: TokenizedSplit,
    batches: list[Ints],
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    spec: TrainSpec,
    compute: Compute,
    observer: Observer,
    watch: Watch,
) -> _Totals:
    encoder.train()
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    totals = _Totals()
    for rows in batches:
        batch = train.batch(rows).to(compute.device)
        with compute.arithmetic():
            logits = encoder(batch)  # [B, C]
        loss = nn.functional.cross_entropy(logits.float(), _require(batch.labels))
        norm = gradient(loss, trained, spec.max_grad_norm, f"step {totals.steps + 1} of the epoch")
        watch.gradients()
        lr = float(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad(set_to_none=True)
        totals.loss += loss.item() * len(batch)
        totals.right += int((logits.argmax(dim=1) == batch.labels).sum())
        totals.rows += len(batch)
        totals.norm += norm
        totals.steps += 1
        totals.lr = lr
        observer.advance(len(batch))
    return totals


def _require(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise RuntimeError("training asked for sealed labels")
    return labels


def _row(epoch: int, totals: _Totals, logits: Logits, labels: Ints, planned: float, seconds: float) -> EpochRow:
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


def cross_entropy(logits: Logits, labels: Ints) -> float:
    """Mean negative log-likelihood in nats of labels [N] under logits [N, C]."""
    return float(nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)))


@torch.no_grad()
def predict(
    encoder: Encoder,
    split: TokenizedSplit,
    batch_size: int,
    compute: Compute,
    advance: Callable[[int], None] = lambda _: None,
) -> Logits:
    """Logits [N, C] of every row of a split, in the split's own order.

    Raises:
        DivergedError: a logit is not finite.
    """
    encoder.eval()
    logits = np.empty((len(split), encoder.shape.classes), np.float32)
    for batch in sorted_batches(split, batch_size):
        logits[batch.rows.numpy()] = _forward(encoder, batch, compute)
        advance(len(batch))
    if not np.isfinite(logits).all():
        raise DivergedError(
            "the model's answers are not finite numbers",
            why="the last steps of training left the finite numbers",
            mend="try a learning rate of a third, or more warmup",
        )
    return logits


def _forward(encoder: Encoder, batch: Batch, compute: Compute) -> Logits:
    with compute.arithmetic():
        result: Logits = encoder(batch.to(compute.device)).float().cpu().numpy()
    return result

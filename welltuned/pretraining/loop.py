"""The loop of pretraining: steps, evaluations on the held-out rows, and a checkpoint at each evaluation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from welltuned.engine import Compute, seed_everything
from welltuned.optimizer import adamw, gradient, rate
from welltuned.pretraining import checkpoint
from welltuned.pretraining.checkpoint import Position
from welltuned.pretraining.masked_lm import MaskedLM
from welltuned.pretraining.masking import IGNORED, Masked, masked
from welltuned.pretraining.rows import Packing, rows_of_step
from welltuned.pretraining.tokens import Stream
from welltuned.progress import Observer
from welltuned.record.pretraining import StepRow, Trained, Unigram
from welltuned.spec import PretrainSpec

EVALUATED = 512
"""Held-out rows in an evaluation at most, evenly spread."""
AT_ONCE = 32
"""Held-out rows in a forward pass; fixed, as the masks are drawn for so many rows together."""
CHUNK = 1 << 22


@dataclass(frozen=True)
class Text:
    """Both parts of the text, and how rows are made and hidden.

    Attributes:
        streams: "train" and "held_out".
        how: the packing.
        spec: decides masks and order.
    """

    streams: dict[str, Stream]
    how: Packing
    spec: PretrainSpec

    def step(self, step: int) -> Masked:
        """The hidden rows of a step: a function of the seed and the step alone."""
        stream, spec = self.streams["train"], self.spec
        which = rows_of_step(step, self.how.count(stream), spec.batch_size, spec.seed)
        random = np.random.default_rng([spec.seed, step, 1])
        return masked(self.how.rows(stream, which), self.how, spec.mask_rate, spec.whole_words, random)

    def held_out(self) -> Iterator[Masked]:
        """The held-out rows, hidden the same at every evaluation and for every seed."""
        stream, spec = self.streams["held_out"], self.spec
        count = self.how.count(stream)
        which = np.unique(np.linspace(0, count - 1, min(count, EVALUATED)).round().astype(np.int64))
        for start in range(0, len(which), AT_ONCE):
            rows = self.how.rows(stream, which[start : start + AT_ONCE])
            yield masked(rows, self.how, spec.mask_rate, spec.whole_words, np.random.default_rng([start, 2]))


def train(
    model: MaskedLM, text: Text, identity: str, folder: Path, compute: Compute, observer: Observer
) -> list[StepRow]:
    """Train to the last step, from the checkpoint in ``folder`` where this very run left one.

    Raises:
        DivergedError: a loss or gradient is not finite.
    """
    spec = text.spec
    seed_everything(spec.seed)
    optimizer = adamw(model, spec, compute)
    factor = rate(spec, spec.steps)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    position = checkpoint.restore(folder, identity, model, optimizer, compute)
    if position is None:
        position = Position(0, [evaluated(model, text, compute, 0, "nothing")])
    else:
        observer.say(f"goes on from the checkpoint at step {position.step:,}")
    observer.stage("pretraining", (spec.steps - position.step) * spec.batch_size)
    started, total, tokens = time.perf_counter(), 0.0, 0
    for step in range(position.step, spec.steps):
        model.train_head_only(step < spec.head_steps)
        model.train()
        lr = spec.lr * factor(step)
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss, labels = _loss(model, text.step(step), compute)
        gradient(loss, trained, spec.max_grad_norm, f"step {step + 1}")
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        total, tokens = total + loss.item() * labels, tokens + labels
        observer.advance(spec.batch_size)
        if is_evaluated(step + 1, spec):
            what: Trained = "head" if step < spec.head_steps else "all"
            row = evaluated(model, text, compute, step + 1, what, total / tokens, lr, started)
            position = Position(step + 1, [*position.curve, row])
            observer.say(told(row, spec.steps))
            checkpoint.save(folder, identity, position, model, optimizer, compute)
            started, total, tokens = time.perf_counter(), 0.0, 0
    model.train_head_only(False)
    return position.curve


def is_evaluated(step: int, spec: PretrainSpec) -> bool:
    """Whether the model is evaluated after so many steps."""
    return step % spec.eval_every == 0 or step in (spec.head_steps, spec.steps)


def told(row: StepRow, steps: int) -> str:
    """A point of the curve in one line."""
    trained = "" if row.train_loss is None else f"train loss {row.train_loss:.3f}, "
    return (
        f"  step {row.step}/{steps}  {trained}held-out loss {row.held_out_loss:.3f}, perplexity {row.perplexity:,.1f}, "
        f"{row.held_out_accuracy:.1%} right  {row.seconds:.1f} s"
    )


def _loss(model: MaskedLM, rows: Masked, compute: Compute) -> tuple[Tensor, int]:
    with compute.arithmetic():
        logits, labels = model(*(_tensor(one, compute) for one in (rows.inputs, rows.mask, rows.labels)))
    return nn.functional.cross_entropy(logits, labels), len(labels)


def _tensor(array: np.ndarray, compute: Compute) -> Tensor:
    return torch.from_numpy(array).to(compute.device)


@torch.no_grad()
def evaluated(
    model: MaskedLM,
    text: Text,
    compute: Compute,
    step: int,
    what: Trained,
    train_loss: float | None = None,
    lr: float = 0.0,
    started: float | None = None,
) -> StepRow:
    """A point of the curve: mean loss over the hidden tokens of the held-out rows, and the share named right."""
    started = time.perf_counter() if started is None else started
    model.eval()
    loss = right = tokens = 0.0
    for rows in text.held_out():
        with compute.arithmetic():
            logits, labels = model(*(_tensor(one, compute) for one in (rows.inputs, rows.mask, rows.labels)))
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        right += int((logits.argmax(dim=1) == labels).sum())
        tokens += len(labels)
    return StepRow(
        step=step,
        trained=what,
        train_loss=train_loss,
        held_out_loss=loss / tokens,
        held_out_accuracy=right / tokens,
        lr=lr,
        seconds=time.perf_counter() - started,
    )


def unigram(text: Text) -> tuple[Unigram, int]:
    """What the train stream's token frequencies alone reach on the held-out labels, and how many labels these are.

    Every token counts once more than it was seen, so that none is impossible.
    """
    counts = np.ones(text.how.vocabulary)
    stream = text.streams["train"].ids
    for start in range(0, len(stream), CHUNK):
        counts += np.bincount(stream[start : start + CHUNK], minlength=len(counts))
    counts[list(text.how.special)] = 0
    labels = np.concatenate([rows.labels[rows.labels != IGNORED] for rows in text.held_out()])
    loss = float(np.log(counts.sum()) - np.log(counts[labels]).mean())
    return Unigram(loss=loss, accuracy=float((labels == counts.argmax()).mean())), len(labels)

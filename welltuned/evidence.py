"""What alarms are raised about that only a run at hand can show: what is read, and what training has added."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from welltuned import alarms
from welltuned.alarms import Reading, Removal
from welltuned.answering import Logits, predict
from welltuned.batches import TokenizedSplit
from welltuned.encoders import Encoder
from welltuned.engine import Compute
from welltuned.record import Alarm
from welltuned.spec import RunSpec

CHECKED_ROWS = 16
"""Dev rows on which a run is checked against itself without what was trained."""


def readings(splits: Mapping[str, TokenizedSplit], names: tuple[str, ...]) -> list[Alarm]:
    """Alarms about what the model gets to read."""
    found = [
        Reading(name, splits[name].known_labels, splits[name].cut, names, splits[name].max_length)
        for name in ("train", "dev")
    ]
    return [alarm for reading in found for alarm in alarms.raised(reading)]


def removal(
    encoder: Encoder,
    fresh: Callable[[], Encoder],
    dev: TokenizedSplit,
    logits: Logits,
    spec: RunSpec,
    compute: Compute,
) -> Removal | None:
    """The first dev rows as trained, and with everything but the head as training began; None where all is head.

    Args:
        fresh: makes an encoder as this one was before training.
        logits: [N, C] of the dev rows, as trained.
    """
    head = {f"head.{name}" for name, _ in encoder.head.named_parameters()}
    trained = {name: one for name, one in encoder.named_parameters() if one.requires_grad}
    if trained.keys() <= head:
        return None
    before = fresh()
    with torch.no_grad():
        for name, one in before.named_parameters():
            if name in head and name in trained:
                one.copy_(trained[name])
    few = dev.take(np.arange(min(len(dev), CHECKED_ROWS)))
    rows = spec.train.eval_batch_size
    return Removal(
        trained=logits[: len(few)],
        removed=predict(before, few, rows, compute),
        tensors=len(trained.keys() - head),
    )

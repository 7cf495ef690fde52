"""The answers of an encoder to the rows of a split."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from welltuned import stopping
from welltuned.batches import Batch, Ints, TokenizedSplit, longest_first
from welltuned.encoders import Encoder
from welltuned.engine import Compute
from welltuned.errors import DivergedError
from welltuned.memory import first_line, is_out_of_memory, release, too_much

Logits = NDArray[np.float32]


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
    smaller: Callable[[int, str], None] = lambda *_: None,
) -> Logits:
    """Logits [N, C] of every row of a split, in the split's own order.

    Where so many rows do not fit the memory, half as many are answered at once from there on.

    Args:
        smaller: is told of it: the rows that did not fit, and what the allocator said.

    Raises:
        DivergedError: a logit is not finite.
        ResourceError: one row does not fit.
    """
    encoder.eval()
    logits = np.empty((len(split), encoder.shape.classes), np.float32)
    pieces = partial(split.pieces, tokens=compute.tokens_at_once, joined=encoder.joins)
    coming = deque(pieces(longest_first(split), most=batch_size))
    with compute.weights_held():
        while coming:
            stopping.obey()
            rows = coming[0]
            try:
                logits[rows] = _forward(encoder, split.batch(rows), compute)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                told = first_line(error)
            else:
                coming.popleft()
                advance(len(rows))
                continue
            if len(rows) == 1:
                raise too_much("evaluation", told)
            smaller(len(rows), told)
            coming = deque(pieces(np.concatenate(coming), most=len(rows) // 2))
            release()
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

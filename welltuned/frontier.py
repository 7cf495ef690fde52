"""What lies below a method's frontier is computed once.

Where only a linear head trains, a row reaches it as one pooled vector that never changes. Those vectors are
computed once, in evaluation mode, and every epoch and seed trains on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from welltuned.batches import TokenizedSplit, sorted_batches
from welltuned.encoders import Encoder, LinearHead
from welltuned.engine import Compute


def is_constant_below_head(encoder: Encoder) -> bool:
    """Whether a row's pooled representation can be computed once for all."""
    return encoder.frontier >= encoder.shape.layers and isinstance(encoder.head, LinearHead)


@torch.no_grad()
def with_features(
    encoder: Encoder, split: TokenizedSplit, batch_size: int, compute: Compute, advance: Callable[[int], None]
) -> TokenizedSplit:
    """The same split with its pooled representations [N, d] in float32."""
    encoder.eval()
    head = encoder.head
    assert isinstance(head, LinearHead)
    features = torch.empty(len(split), encoder.shape.hidden)
    for batch in sorted_batches(split, batch_size):
        moved = batch.to(compute.device)
        with compute.arithmetic():
            hidden = encoder.hidden(moved)
        features[batch.rows] = head.pool(hidden, moved.mask).cpu()
        advance(len(batch))
    return replace(split, features=features)

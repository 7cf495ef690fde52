"""Token ids to logits: the step that different runtimes can take."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel

from welltuned.batches import Batch, TokenizedSplit, sorted_batches


class Forward(Protocol):
    """A model ready to compute, in whichever runtime; it reads ``ids``, ``mask`` and ``types`` of a batch."""

    def __call__(self, batch: Batch) -> Tensor:
        """Logits [B, C] float32 in main memory, of ids, mask and (where the family has them) types [B, T] int64."""
        ...


class TorchForward:
    """A Transformers classifier in torch.

    Attributes:
        model: in evaluation mode, in fp32.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model.eval()

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Tensor:
        """Logits [B, C] float32."""
        types = {} if batch.types is None else {"token_type_ids": batch.types}
        logits = self.model(input_ids=batch.ids, attention_mask=batch.mask, **types).logits
        return cast(Tensor, logits.float())


def logits_of(forward: Forward, tokens: TokenizedSplit, classes: int, batch_size: int) -> Tensor:
    """Logits [N, C] of all rows in their own order, rows of like length computed together."""
    logits = torch.empty(len(tokens), classes)
    for batch in sorted_batches(tokens, batch_size):
        logits[batch.rows] = forward(batch)
    return logits

"""What lies below a method's frontier is computed once.

Blocks below the frontier are a constant function of the input. What they hand on is computed once, in evaluation
mode, and every epoch, trial, seed and method above it goes on from there: from one pooled vector a row where a linear
head alone trains, from the hidden states of a row's tokens elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from welltuned.batches import A_PIECE, TokenizedSplit, sorted_batches
from welltuned.encoders import Encoder, LinearHead
from welltuned.engine import Compute
from welltuned.frontier.store import LIMIT, Kept, Store
from welltuned.joined import A_GROUP
from welltuned.record import installed_versions, processor_name

__all__ = ["LIMIT", "Constant", "Kept", "Store", "constant", "identity"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Constant:
    """What of an encoder can be kept for each row.

    Attributes:
        block: the frontier.
        pooled: one vector a row, as the linear head pools it; else one a token.
    """

    block: int
    pooled: bool

    def numbers(self, encoder: Encoder, split: TokenizedSplit) -> tuple[int, int]:
        """[n, d], the shape of what is kept of a split."""
        return len(split) if self.pooled else int(split.offsets[-1]), encoder.shape.hidden

    def given(self, split: TokenizedSplit, values: Floats) -> TokenizedSplit:
        """The same split with what was kept of it."""
        if self.pooled:
            return replace(split, features=torch.from_numpy(np.array(values)))
        return replace(split, states=values)

    @torch.no_grad()
    def compute(
        self,
        encoder: Encoder,
        split: TokenizedSplit,
        batch_size: int,
        compute: Compute,
        into: Floats,
        advance: Callable[[int], None],
    ) -> float:
        """Fill ``into`` [n, d]; returns the seconds that it took."""
        started = time.perf_counter()
        encoder.eval()
        with compute.weights_held():
            for batch in sorted_batches(split, batch_size, compute.tokens_at_once, joined=encoder.joins):
                moved = batch.to(compute.device)
                with compute.arithmetic():
                    hidden = encoder.below(moved)  # [B, T, d]
                rows = batch.rows.numpy()
                if self.pooled:
                    assert isinstance(encoder.head, LinearHead)
                    into[rows] = encoder.head.pool(hidden, moved.mask).cpu().numpy()
                else:
                    for row, states in zip(rows, hidden.float().cpu().numpy(), strict=True):
                        start, end = split.offsets[row], split.offsets[row + 1]
                        into[start:end] = states[: end - start]
                advance(len(batch))
        return time.perf_counter() - started


def constant(encoder: Encoder, compute: Compute) -> Constant | None:
    """What can be kept under the method attached; None where the first block can change, or on the plain engine."""
    if compute.engine == "plain" or not encoder.frontier:
        return None
    pooled = encoder.frontier >= encoder.shape.layers and isinstance(encoder.head, LinearHead)
    return Constant(encoder.frontier, pooled)


def identity(
    part: Constant, encoder: Encoder, split: TokenizedSplit, batch_size: int, weights_hash: str, compute: Compute
) -> str:
    """SHA-256 over everything that what is kept is a function of, to the last bit.

    Tokens stand for data and tokenizer. Rows and tokens of a batch, how it is cut, threads, processor and versions
    decide about rounding.
    """
    versions = installed_versions()
    words: dict[str, Any] = {
        "block": part.block,
        "pooled": encoder.shape.head if part.pooled else None,
        "weights": weights_hash,
        "rows": batch_size,
        "at_once": [compute.tokens_at_once, A_PIECE],
        "attention": [encoder.backbone.config._attn_implementation, A_GROUP if encoder.joins else None],
        "max_length": split.max_length,
        "types": split.has_types,
        "precision": compute.precision,
        "device": compute.device_name,
        "threads": torch.get_num_threads(),
        "processor": processor_name(),
        "versions": [versions.get("torch"), versions.get("transformers")],
    }
    found = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for array in (split.ids, split.types, split.offsets):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()

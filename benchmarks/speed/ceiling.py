"""What the machine's matrix products allow, and how many a training needs."""

from __future__ import annotations

import time

import torch

from welltuned.shapes import Shape

SHAPE = (4096, 384, 1536)
REPEATS = 7


def products(threads: int, precision: str) -> float:
    """Multiply-adds count twice: FLOP a second of the largest of a few runs of one feed-forward product."""
    torch.set_num_threads(threads)
    rows, width, wide = SHAPE
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = torch.randn(rows, width, dtype=kind), torch.randn(width, wide, dtype=kind)
    best = 0.0
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(5):
            a @ b
        best = max(best, 10 * rows * width * wide / (time.perf_counter() - started))
    return best


def needed(shape: Shape, method: str, tokens: int, squared: int) -> float:
    """FLOP of training on so many tokens, padding not counted.

    Forward: 2 a parameter of a block's matrices and token, and 4*T*d a token of attention. Backward: as much for what
    comes in, and as much again for weights that train; nothing of it where only the head trains.

    Args:
        tokens: over all rows and epochs.
        squared: sum of T*T over all rows and epochs.
    """
    matrices = sum(one.inputs * one.outputs for one in shape.matrices)
    forward = shape.layers * (2.0 * matrices * tokens + 4.0 * shape.hidden * squared)
    weights = shape.layers * 2.0 * matrices * tokens
    attention = forward - weights
    return {"full": 3 * forward, "head": forward}.get(method, 2 * weights + 3 * attention)

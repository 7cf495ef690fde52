"""Whether a training step fits the memory, said before the first step is taken."""

from __future__ import annotations

from welltuned import methods
from welltuned.batches import rows_within
from welltuned.engine import Compute
from welltuned.errors import ResourceError
from welltuned.memory.predicted import footprint
from welltuned.memory.states import ADAM_BYTES
from welltuned.pretrained import Pretrained
from welltuned.shapes import Shape
from welltuned.spec import RunSpec

MIB = 2**20
PLENTY = 2.0
"""A coarse estimate that leaves this factor free needs no closer look."""


def require_fit(spec: RunSpec, origin: Pretrained, classes: int, tokens: int, compute: Compute, room: int) -> None:
    """Refuse a training step that would not fit.

    A coarse estimate settles the common case; only where it comes near the limit is the step played through, which
    takes seconds.

    Args:
        origin: the pretrained model.
        classes: C.
        tokens: T of the longest row.
        room: bytes that tensors may take.

    Raises:
        ResourceError: says whether a smaller batch would fit, and which.
    """
    rows, method = spec.train.batch_size, methods.build(spec.method)
    at_once = rows_within(compute.tokens_at_once, tokens, rows)
    shape = origin.shape.with_head(spec.model.head, classes)
    trained = sum(method.ledger(shape).values())
    if PLENTY * _coarse(shape, trained, at_once, tokens + method.positions()) <= room:
        return
    played = footprint(origin.config, spec.model.head, classes, spec.method, compute, evaluated=False)
    peak = played.step_in_pieces(rows, tokens, at_once).peak
    if peak <= room:
        return
    name, most = f"{spec.method.name} on {spec.model.name}", played.largest(room, tokens)
    if most == 0:
        raise ResourceError(
            f"{name} does not fit at any batch: a step on one row of {tokens} tokens takes "
            f"{played.step(1, tokens).peak / MIB:,.1f} MiB, and {max(0, room) / MIB:,.1f} MiB are free",
            where="--memory-limit",
            mend="use a method that trains less, a smaller model or --max-length, or a larger machine",
        )
    raise ResourceError(
        f"{name} does not fit in batches of {rows}: a step on rows of {tokens} tokens takes "
        f"{peak / MIB:,.1f} MiB, and {room / MIB:,.1f} MiB are free",
        where="--batch-size",
        mend=f"use --batch-size {most} or less (welltuned max-batch finds the largest that fits)",
    )


def _coarse(shape: Shape, trained: int, rows: int, tokens: int) -> int:
    """Weights, gradients, optimizer, and the activations of BERT's blocks trained whole (see :mod:`.predicted`)."""
    states = 4 * shape.parameters + (4 + ADAM_BYTES) * trained
    wide = 4 * rows * tokens * shape.hidden
    square = 4 * rows * shape.heads * tokens * tokens
    block = (8.5 + 2 * shape.intermediate / shape.hidden) * wide + 9 / 4 * square
    return int(states + shape.layers * block)

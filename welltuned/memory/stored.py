"""Bytes on disk that a run leaves, in closed form, so that a full disk is met before the training and not after it."""

from __future__ import annotations

from welltuned import methods
from welltuned.pretrained import Pretrained
from welltuned.shapes import Shape
from welltuned.spec import RunSpec

FLOAT = 4
BESIDE = 4 << 20
"""An allowance for record, figures and report."""


def bytes_stored(spec: RunSpec, origin: Pretrained, classes: int, rows: int) -> int:
    """What a whole run leaves: the model, tensors that the method keeps apart, logits, tokenizer and record.

    ``4 * (P + a) + 4 * C * N + 8 * N`` bytes of arrays for P parameters, a trained ones that do not stand in the place
    of others (0 where all are trained), C classes and N rows of dev and test.

    Args:
        spec: of the run.
        origin: its pretrained model.
        classes: C.
        rows: N.
    """
    shape: Shape = origin.shape.with_head(spec.model.head, classes)
    trained = sum(methods.build(spec.method).ledger(shape).values())
    apart = trained if trained < shape.parameters else 0
    words = sum(path.stat().st_size for ending in ("json", "txt") for path in origin.folder.glob(f"*.{ending}"))
    return FLOAT * (shape.parameters + apart + classes * rows) + 8 * rows + words + BESIDE


def bytes_of_checkpoints(trained: int, kept: int) -> int:
    """``16 * a * (K + 1)`` bytes for a trained parameters and K checkpoints that are kept while one more is written.

    Each has the tensors, the optimizer's two moments, and the tensors of the best epoch.
    """
    return 4 * FLOAT * trained * (kept + 1)

"""Head-tuning: the encoder stays as it is; only the classification head is trained.

Also known as linear probing: Alain and Bengio 2017, "Understanding intermediate layers using linear classifier
probes". With H(x) the frozen hidden states, logits = W pool(H(x)) + b; W and b alone are trained, which is
2d + 2 parameters for two classes under the linear head.
"""

from __future__ import annotations

from typing import ClassVar, final

from welltuned.encoders import Encoder
from welltuned.methods._base import Choice, Defaults, Method, MethodConfig, Range, freeze_backbone
from welltuned.shapes import Shape


@final
class Head(Method[MethodConfig]):
    """Train the head alone."""

    defaults = Defaults(lr=5e-3, epochs=10)
    search_space: ClassVar = {"lr": Range(1e-4, 1e-1, log=True), "epochs": Choice((10, 30))}

    def attach(self, encoder: Encoder) -> None:
        """Only the head requires gradients."""
        freeze_backbone(encoder)

    def frontier(self, shape: Shape) -> int:
        """All blocks are constant."""
        return shape.layers

    def ledger(self, shape: Shape) -> dict[str, int]:
        """d*C + C under the linear head."""
        return {"head": shape.head_parameters}

    def merge(self, encoder: Encoder) -> bool:  # noqa: ARG002
        """Nothing was added, so there is nothing to fold in."""
        return True

"""Full fine-tuning: every parameter of the encoder and its head is trained.

Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", section 4:
all parameters theta minimise -sum_i log p_theta(y_i | x_i), starting from the pretrained ones.
"""

from __future__ import annotations

from typing import ClassVar, final

from welltuned.encoders import Encoder
from welltuned.methods._base import Choice, Defaults, Method, MethodConfig, Range
from welltuned.shapes import Shape


@final
class Full(Method[MethodConfig]):
    """Train everything."""

    defaults = Defaults(lr=1e-4, epochs=4)
    search_space: ClassVar = {"lr": Range(1e-5, 5e-4, log=True), "epochs": Choice((3, 5))}

    def attach(self, encoder: Encoder) -> None:
        """Every parameter requires a gradient."""
        encoder.requires_grad_(True)

    def frontier(self, shape: Shape) -> int:  # noqa: ARG002
        """The embeddings change, so nothing is constant."""
        return 0

    def ledger(self, shape: Shape) -> dict[str, int]:
        """Embeddings, L blocks, what stands between them and the head, and the head."""
        blocks = shape.layers * shape.block_parameters - shape.first_block_missing
        parts = {"embeddings": shape.embedding_parameters, "blocks": blocks, "final": shape.final_parameters}
        return {name: count for name, count in parts.items() if count} | {"head": shape.head_parameters}

    def merge(self, encoder: Encoder) -> bool:  # noqa: ARG002
        """Nothing was added, so there is nothing to fold in."""
        return True

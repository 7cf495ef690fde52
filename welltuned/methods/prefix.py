"""Prefix-tuning on the input: l trained embeddings stand before each row's own, the encoder stays frozen.

Lester et al. 2021, "The Power of Scale for Parameter-Efficient Prompt Tuning", section 2: with X in R^{n x e} the
embedded input and P in R^{l x e} the trained prompt, the encoder reads [P; X] in R^{(l + n) x e}. It is the
input-layer form of Li and Liang 2021, "Prefix-Tuning", equation 3. The prompt takes the first l positions, as l
words before the row would; attention sees it from everywhere; pooling leaves its positions out.

Trained: l*e + d*C + C, which is 99,842 for l = 128, d = e = 768 and two classes.
"""

from __future__ import annotations

from typing import ClassVar, Literal, final

import torch
from pydantic import Field
from torch import Tensor, nn

from welltuned.encoders import Encoder
from welltuned.methods._base import Choice, Defaults, Method, MethodConfig, Range, freeze_backbone
from welltuned.shapes import Shape


class PrefixConfig(MethodConfig):
    """Fields of prefix-tuning.

    Attributes:
        length: l, the number of trained embeddings.
        init: start from embeddings of words drawn from the vocabulary ("words", Lester et al. 2021, section 3.2)
            or from small noise ("normal", standard deviation 0.02).
    """

    length: int = Field(default=128, ge=1)
    init: Literal["words", "normal"] = "words"


class Prompt(nn.Module):
    """Trained vectors [l, e]."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(start)

    def forward(self) -> Tensor:
        """The vectors themselves, [l, e]."""
        return self.embeddings


@final
class Prefix(Method[PrefixConfig]):
    """Train l embeddings before the input, and the head."""

    Config = PrefixConfig
    defaults = Defaults(lr=1e-2, epochs=5)
    search_space: ClassVar = {"lr": Range(1e-3, 1e-1, log=True), "length": Choice((16, 64, 128))}
    tiny: ClassVar = {"length": 4}

    def attach(self, encoder: Encoder) -> None:
        """Put the prompt before the input; only it and the head require gradients."""
        freeze_backbone(encoder)
        encoder.prompt = Prompt(self._start(encoder.words.weight))

    def _start(self, words: Tensor) -> Tensor:
        length, (vocabulary, width) = self.config.length, words.shape
        if self.config.init == "normal" or words.is_meta:
            return 0.02 * torch.randn(length, width, device=words.device)
        drawn = torch.randint(vocabulary, (length,), device=words.device)
        return words.detach()[drawn].clone()

    def frontier(self, shape: Shape) -> int:  # noqa: ARG002
        """The prompt stands before the first block."""
        return 0

    def positions(self) -> int:
        """l."""
        return self.config.length

    def ledger(self, shape: Shape) -> dict[str, int]:
        """l*e for the prompt; d*C + C for the linear head."""
        return {"prefix": self.config.length * shape.embedding, "head": shape.head_parameters}

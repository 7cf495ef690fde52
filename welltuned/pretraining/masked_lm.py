"""An encoder that predicts hidden tokens: a backbone and its family's own language-model head.

The head runs on the hidden states of tokens to be predicted alone: the product with the vocabulary's matrix, which
is the word embeddings, would else cost as much as several blocks.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel

from welltuned.encoders import HiddenStates
from welltuned.pretraining.masking import IGNORED
from welltuned.spec import ShapeSpec

POSITIONS = 512


class MaskedLM(nn.Module):
    """A stock masked-language model taken apart into backbone and head.

    Attributes:
        backbone: the stock model without its head.
        head: the stock model with :class:`HiddenStates` in the backbone's place.
    """

    def __init__(self, stock: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = cast(PreTrainedModel, getattr(stock, stock.base_model_prefix))
        setattr(stock, stock.base_model_prefix, HiddenStates(None))
        self.head = stock
        self.head_only = False

    def train_head_only(self, alone: bool) -> None:
        """Let only the head move, the backbone then in evaluation mode; the matrix they share stays as it is."""
        self.head_only = alone
        self.backbone.requires_grad_(not alone)
        self.train(self.training)

    def train(self, mode: bool = True) -> MaskedLM:
        """Training mode, for the backbone only where it moves."""
        super().train(mode)
        if self.head_only:
            self.backbone.eval()
        return self

    def forward(self, inputs: Tensor, mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """[B, T] each -> float32 logits [M, V] of the M positions with a label, and their labels [M]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.head_only):
            hidden = self.backbone(input_ids=inputs, attention_mask=mask).last_hidden_state
        where = labels != IGNORED
        logits = self.head(inputs_embeds=hidden[where].unsqueeze(0)).logits[0]
        return logits.float(), labels[where]

    def reunited(self) -> PreTrainedModel:
        """The stock model of these very tensors, with attention as Transformers has it; this one is used up."""
        self.backbone.set_attn_implementation("sdpa" if self.backbone._supports_sdpa else "eager")
        setattr(self.head, self.head.base_model_prefix, self.backbone)
        return self.head


def from_scratch(shape: ShapeSpec, tokenizer: Any, max_length: int, seed: int) -> PreTrainedModel:
    """A stock masked-language model of this shape with random weights, its vocabulary the tokenizer's."""
    roberta = shape.family == "roberta"
    positions = max(POSITIONS, max_length)
    roles = ("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")
    config = AutoConfig.for_model(
        shape.family,
        vocab_size=len(tokenizer),
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.hidden,
        type_vocab_size=1 if roberta else 2,
        max_position_embeddings=positions + tokenizer.pad_token_id + 1 if roberta else positions,
        **{role: getattr(tokenizer, role) for role in roles},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return cast(PreTrainedModel, AutoModelForMaskedLM.from_config(config))

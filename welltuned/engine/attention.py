"""Attention on a CPU in the form that is fastest there, registered with Transformers' own interface.

Torch's fused kernel is good where nothing is dropped. It has no dropout; with it torch falls back to a form that
passes over all weights of all rows many times, and there :mod:`welltuned.engine.rows` takes over.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from welltuned.engine.dropout import kept_of_256
from welltuned.engine.rows import row_attention

NAME = "welltuned"


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, None]:
    """softmax(scaling * Q K^T + mask) V, the weights dropped out in training (Vaswani et al. 2017, equation 1).

    Args:
        module: the attention layer; dropout applies only in its training mode.
        query, key, value: [B, h, T, d/h].
        attention_mask: [B, 1, T, T], additive, or None.
        scaling: default 1 / sqrt(d/h).
        dropout: drop rate of the attention weights.

    Returns:
        The output [B, T, h, d/h]; the weights are not kept.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    threshold = kept_of_256(dropout) if module.training else 256
    if 0 < threshold < 256:
        return row_attention(query, key, value, attention_mask, scale, threshold), None
    mask = None if attention_mask is None else attention_mask.to(query.dtype)
    out = scaled_dot_product_attention(query, key, value, mask, scale=scale).transpose(1, 2)
    return (out if threshold else out * 0).contiguous(), None


def use_fast_attention(backbone: PreTrainedModel) -> bool:
    """Let a backbone compute attention this way; False where its family has attention of its own kind."""
    if not getattr(backbone, "_supports_sdpa", False):
        return False
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, eager_mask)
    backbone.set_attn_implementation(NAME)
    return True

"""Attention on a CPU in the form that is fastest there, registered with Transformers' own interface.

Torch's fused kernel is good where nothing is dropped. It has no dropout; with it torch falls back to a form that
passes over all weights of all rows many times, and there :mod:`welltuned.engine.rows` takes over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from welltuned.engine.dropout import kept_of_256
from welltuned.engine.rows import row_attention, seen_through
from welltuned.joined import EndToEnd, Layout, by_part, current

NAME = "welltuned"
GROUPED = EndToEnd(NAME, Layout.of)


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
        query, key, value: [B, h, T, d/h]; of rows that stand end to end [1, h, N, d/h].
        attention_mask: as :func:`mask_of` makes it.
        scaling: default 1 / sqrt(d/h).
        dropout: drop rate of the attention weights.

    Returns:
        The output [B, T, h, d/h], or [1, N, h, d/h]; the weights are not kept.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    threshold = kept_of_256(dropout) if module.training else 256

    def of_part(_: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return _attention(query, key, value, attention_mask, scale, threshold)

    return by_part(of_part, query, key, value, dim=2), None


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, scale: float, threshold: int
) -> Tensor:
    """:func:`attention` of a batch, or of one training's rows among those of several."""
    layout = current()
    if 0 < threshold < 256:
        rows, heads, tokens, width = query.shape
        if layout is None:
            layout, attention_mask = seen_through(attention_mask, rows, tokens)
        q, k, v = (one.transpose(1, 2).reshape(-1, heads, width) for one in (query, key, value))  # [B * T, h, d/h]
        out = row_attention(q, k, v, attention_mask, layout, scale, threshold)
        return out.view(rows, tokens, heads, width)
    mask = None if attention_mask is None else attention_mask.to(query.dtype)
    if layout is None:
        out = scaled_dot_product_attention(query, key, value, mask, scale=scale).transpose(1, 2)
    else:
        out = _by_groups(query, key, value, mask, layout, scale)
    return (out if threshold else out * 0).contiguous()


def _by_groups(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, layout: Layout, scale: float) -> Tensor:
    """Torch's fused kernel for the rows of each group: [1, h, N, k] -> [1, N, h, k].

    Args:
        mask: [1, 1, T, T], of what is hidden besides padding.
    """
    sizes, found = [group.count * group.tokens for group in layout.groups], []
    parts = zip(*(one.split(sizes, dim=2) for one in (query, key, value)), strict=True)
    for group, part in zip(layout.groups, parts, strict=True):
        q, k, v = (one[0].unflatten(1, (group.count, group.tokens)).transpose(0, 1) for one in part)  # [R, h, t, k]
        hidden = None if mask is None else mask[..., : group.tokens, : group.tokens]
        lengths = layout.lengths[group.rows]
        if min(lengths) < group.tokens:
            padded = torch.arange(group.tokens) >= torch.tensor(lengths)[:, None, None, None]  # [R, 1, 1, t]
            own = torch.zeros(padded.shape, dtype=query.dtype).masked_fill_(padded, torch.finfo(query.dtype).min)
            hidden = own if hidden is None else own + hidden
        out = scaled_dot_product_attention(q, k, v, hidden, scale=scale)  # [R, h, t, k]
        found.append(out.transpose(1, 2).flatten(0, 1))
    return torch.cat(found).unsqueeze(0)


def mask_of(batch_size: int, q_length: int, kv_length: int, attention_mask: Tensor | None = None, **given: Any) -> Any:
    """The additive mask of a padded batch; of rows that stand end to end, what is hidden from each besides padding.

    Returns:
        [B, 1, T, T], or [1, 1, T, T] for all rows; None where nothing is hidden.
    """
    layout = current()
    if layout is not None:
        q_length = kv_length = max(layout.strides)
    return eager_mask(batch_size, q_length, kv_length, attention_mask=attention_mask, **given)


def use_fast_attention(backbone: PreTrainedModel) -> bool:
    """Let a backbone compute attention this way; False where its family has attention of its own kind."""
    return let_compute(backbone, NAME, attention, mask_of)


def let_compute(
    backbone: PreTrainedModel, name: str, attention: Callable[..., Any], mask_of: Callable[..., Any]
) -> bool:
    """Let a backbone compute attention and its masks by these, under a name with Transformers.

    Returns:
        False where its family has attention of its own kind; nothing is changed.
    """
    if not getattr(backbone, "_supports_sdpa", False):
        return False
    AttentionInterface.register(name, attention)
    AttentionMaskInterface.register(name, mask_of)
    backbone.set_attn_implementation(name)
    return True

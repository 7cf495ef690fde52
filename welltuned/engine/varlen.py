"""Attention on a GPU over rows that stand end to end, registered with Transformers' own interface.

"Variable-length" attention is told where each row begins, and so does no work on padding (Dao et al. 2022,
"FlashAttention"; torch's own kernel, the one behind its nested tensors). It knows no mask and wants bf16;
where it can not be had, rows are padded for attention alone, and torch's usual attention is told what is padding. All
else an encoder does to tokens without padding either way.

The kernel is asked for by its name within torch, so it is tried before it is used: on this device, forward and
backward, against torch's usual attention.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask

from welltuned.engine.attention import let_compute
from welltuned.joined import EndToEnd, Layout, by_part, current

NAME = "welltuned_varlen"
USUAL = "sdpa"
"""Torch's attention, by its name with Transformers."""
MULTIPLE = 64
"""Tokens of a batch are filled up to a multiple of this, so that there are few shapes and memory is found again."""
WIDTHS = 8, 256
"""The kernel takes heads whose width is a multiple of the one, up to the other."""
TRIED_ON = (1, 64, 37, 130, 5)
"""Lengths of the rows that the kernel is tried on."""
CLOSE = 0.02
"""How far it may be from torch's usual attention on numbers of size 1: bf16 keeps 8 bits."""
KEPT = 0.1
"""How far what dropout keeps may be from its mean."""

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, int, float, float], Tensor]


@dataclass(frozen=True)
class Unpadded(Layout):
    """Rows without any padding but behind the last."""

    @classmethod
    def of(cls, lengths: Sequence[int], longest: int) -> Unpadded:  # noqa: ARG003
        """As every layout; no row is padded, whatever the longest of them."""
        *others, last = lengths
        return cls(tuple(lengths), (*others, last + -sum(lengths) % MULTIPLE))

    @cached_property
    def segments(self) -> tuple[int, ...]:
        """Tokens of each row; what fills up the last is a row by itself, which nobody reads."""
        rest = self.strides[-1] - self.lengths[-1]
        return (*self.lengths, rest) if rest else self.lengths

    @cached_property
    def _on_devices(self) -> dict[Any, Tensor]:
        return {}

    def _once(self, device: torch.device, what: Any, make: Callable[[], Any]) -> Tensor:
        """A tensor of this layout, made on the host and moved there without waiting; every layer asks for it."""
        key = device, what
        if key not in self._on_devices:
            self._on_devices[key] = torch.from_numpy(np.asarray(make())).to(device, non_blocking=True)
        return self._on_devices[key]

    def bounds(self, device: torch.device) -> Tensor:
        """[S + 1] int32, the first token of each segment, and N."""
        return self._once(device, "bounds", lambda: np.array([0, *accumulate(self.segments)], np.int32))

    def own(self, device: torch.device, longest: int) -> Tensor:
        """[B, 1, 1, T] whether a token of a padded batch is a row's own."""
        lengths = np.array(self.lengths)[:, None, None, None]
        return self._once(device, ("own", longest), lambda: np.arange(longest) < lengths)

    def _places(self, device: torch.device, longest: int) -> Tensor:
        """[n] where each of the rows' own n tokens stands among the B * T of a padded batch."""

        def make() -> Any:
            return np.concatenate([row * longest + np.arange(length) for row, length in enumerate(self.lengths)])

        return self._once(device, ("places", longest), make)

    def joined(self, batch: Tensor) -> Tensor:
        """[B, T, ...] -> [1, N, ...]; zero behind the last row."""
        places = self._places(batch.device, batch.shape[1])
        out = batch.new_zeros(1, self.tokens, *batch.shape[2:])
        out[0, : len(places)] = batch.flatten(0, 1)[places]
        return out

    def padded(self, joined: Tensor, longest: int) -> Tensor:
        """[1, N, ...] -> [B, T, ...]; zero at a row's padding."""
        out, places = (
            joined.new_zeros(len(self.lengths), longest, *joined.shape[2:]),
            self._places(joined.device, longest),
        )
        out.flatten(0, 1)[places] = joined[0, : len(places)]
        return out


UNPADDED = EndToEnd(NAME, Unpadded.of)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **given: Any,
) -> tuple[Tensor, None]:
    """softmax(scaling * Q K^T + mask) V, the weights dropped out in training (Vaswani et al. 2017, equation 1).

    Args:
        module: the attention layer; dropout applies only in its training mode.
        query, key, value: [1, h, N, d/h] of rows that stand end to end; a padded batch is left to torch's attention.
        attention_mask: as :func:`mask_of` makes it.
        scaling: default 1 / sqrt(d/h).
        dropout: drop rate of the attention weights.

    Returns:
        The output [1, N, h, d/h]; the weights are not kept.
    """
    layout = current()
    if layout is None:
        usual = AttentionInterface()[USUAL]
        found = usual(module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **given)
        return cast(tuple[Tensor, None], found)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rate = dropout if module.training else 0.0

    def of_part(_: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return _attention(query, key, value, attention_mask, rate, scale)

    return by_part(of_part, *(_as_autocast_wants(one) for one in (query, key, value)), dim=2), None


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, rate: float, scale: float
) -> Tensor:
    """:func:`attention` of a batch, or of one training's rows among those of several."""
    layout = current()
    assert isinstance(layout, Unpadded)
    kernel = None if attention_mask is not None else kernel_for(query.device, query.dtype, query.shape[-1])
    if kernel is None:
        return _padded(query, key, value, attention_mask, layout, rate, scale)
    q, k, v = (one[0].transpose(0, 1) for one in (query, key, value))  # [N, h, d/h]
    return kernel(q, k, v, layout.bounds(query.device), max(layout.segments), rate, scale).unsqueeze(0)


def _as_autocast_wants(tensor: Tensor) -> Tensor:
    """Autocast knows torch's attention and casts what it is given, but not the kernel by itself."""
    kind = tensor.device.type
    return tensor.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else tensor


def _padded(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, layout: Unpadded, rate: float, scale: float
) -> Tensor:
    """Torch's usual attention, rows padded for it: [1, h, N, k] -> [1, N, h, k].

    Args:
        mask: [1, 1, T, T], true where a key is seen, padding aside; a row's tokens are its first.
        rate: of dropout.
    """
    tokens = layout.longest
    seen = layout.own(query.device, tokens)
    if mask is not None:
        seen = seen & mask[..., :tokens, :tokens]
    q, k, v = (layout.pad(one.transpose(1, 2), tokens).transpose(1, 2) for one in (query, key, value))  # [B, h, T, k]
    out = scaled_dot_product_attention(q, k, v, seen, dropout_p=rate, scale=scale)
    return layout.join(out.transpose(1, 2))


def flash(query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, longest: int, rate: float, scale: float) -> Tensor:
    """Torch's FlashAttention over rows of any length.

    Args:
        query, key, value: [N, h, k], bf16, on a GPU.
        bounds: [S + 1] int32, where each of S rows begins, and N.
        longest: tokens of the longest row.
        rate: of dropout.
        scale: of the scores.

    Returns:
        [N, h, k].
    """
    found = torch.ops.aten._flash_attention_forward(
        query, key, value, bounds, bounds, longest, longest, rate, False, False, scale=scale
    )
    return cast(Tensor, found[0])


@lru_cache
def kernel_for(device: torch.device, dtype: torch.dtype, width: int) -> Kernel | None:
    """The kernel that takes such heads on this device; None where there is none that does its work.

    Args:
        width: k, of a head.
    """
    multiple, most = WIDTHS
    if device.type != "cuda" or dtype != torch.bfloat16 or width % multiple or width > most:
        return None
    with torch.random.fork_rng([device]):
        return flash if does_its_work(flash, device, dtype, width) else None


def does_its_work(kernel: Kernel, device: torch.device, dtype: torch.dtype, width: int) -> bool:
    """Whether a kernel's outputs and gradients are near those of torch's usual attention, row by row.

    And whether dropout keeps what it should: with ones for values an output is 1 in the mean.
    """
    heads, scale, layout = 2, width**-0.5, Unpadded.of(TRIED_ON, max(TRIED_ON))
    bounds, longest = layout.bounds(device), max(layout.segments)
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        shape = layout.tokens, heads, width
        q, k, v, upstream = (torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for _ in range(4))
        rows = zip(*(one.split(layout.segments) for one in (q, k, v)), strict=True)
        expected = torch.cat([_alone(*row, scale=scale) for row in rows])
        wanted = (expected, *torch.autograd.grad(expected, (q, k, v), upstream))
        try:
            out = kernel(q, k, v, bounds, longest, 0.0, scale)
            found = (out, *torch.autograd.grad(out, (q, k, v), upstream))
            kept = kernel(q, k, torch.ones_like(v), bounds, longest, 0.5, scale)
        except (RuntimeError, TypeError):  # not built for this device, or another torch's
            return False
    near = all(torch.allclose(one, other, atol=CLOSE, rtol=CLOSE) for one, other in zip(found, wanted, strict=True))
    return near and abs(float(kept.detach().float().mean()) - 1) < KEPT


def _alone(query: Tensor, key: Tensor, value: Tensor, *, scale: float) -> Tensor:
    """Torch's usual attention for one row [t, h, k]."""
    q, k, v = (one.transpose(0, 1).unsqueeze(0) for one in (query, key, value))
    return scaled_dot_product_attention(q, k, v, scale=scale)[0].transpose(0, 1)


def mask_of(batch_size: int, q_length: int, kv_length: int, attention_mask: Tensor | None = None, **given: Any) -> Any:
    """The mask of torch's attention; of rows that stand end to end, what is seen of each besides padding.

    Returns:
        [B, 1, T, T], or [1, 1, T, T] for all rows, true where a key is seen; None where all is.
    """
    layout = current()
    if layout is not None:
        q_length = kv_length = layout.longest
    return sdpa_mask(batch_size, q_length, kv_length, attention_mask=attention_mask, **given)


def use_varlen_attention(backbone: PreTrainedModel) -> bool:
    """Let a backbone compute attention this way; False where its family has attention of its own kind."""
    return let_compute(backbone, NAME, attention, mask_of)

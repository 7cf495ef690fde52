"""Arithmetic for the machine at hand: device, precision, and faster forms of the same mathematics.

``--engine plain`` leaves Transformers as it is. ``fast`` lets rows stand end to end, not padded to the longest, and
changes how attention is computed; on a CPU also how dropout is, and how memory is kept. It does so through public
extension points only, and the mathematics stays the same (on a CPU dropout's rate is rounded to a 256th).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

import torch
from torch import nn
from transformers import PreTrainedModel

from welltuned.encoders import Encoder
from welltuned.engine.allocator import keep_memory
from welltuned.engine.attention import GROUPED, use_fast_attention
from welltuned.engine.dropout import use_byte_dropout, use_dropout_by_part
from welltuned.engine.precision import bf16_is_faster
from welltuned.engine.states import hand_on_in_bf16
from welltuned.engine.streams import RandomState, Stream, random_state, restore_random, seed_everything, stream_of
from welltuned.engine.varlen import UNPADDED, use_varlen_attention
from welltuned.errors import UsageError
from welltuned.spec import ComputeSpec

__all__ = [
    "Compute", "RandomState", "Stream", "prepare", "random_state", "resolve", "restore_random", "seed_everything",
    "settle", "stream_of",
]  # fmt: skip

_Model = TypeVar("_Model", bound=nn.Module)


TOKENS_AT_ONCE = 3072
"""The most tokens in fp32 that go through at once on a CPU. A third less fills its caches: twice as many go through no
faster, and take more memory."""
TOKENS_TOGETHER = 16_384
"""The most tokens of several trainings that go through together on a GPU. Reckoned and not measured: on a twelfth of
them a GPU is done before the next work is handed to it, so that the passes of several cost little more than one's."""


@dataclass(frozen=True)
class Compute:
    """A resolved :class:`~welltuned.spec.ComputeSpec`: nothing is left to ``auto``."""

    device: torch.device
    precision: str
    engine: str

    @property
    def device_name(self) -> str:
        """Of the GPU as its driver calls it, or "cpu"."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Matrix products in bf16 where chosen; master weights and reductions stay fp32."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
            yield

    @contextlib.contextmanager
    def weights_held(self) -> Iterator[None]:
        """Within it no weight changes: what autocast has cast one to serves every later piece of the work.

        Arithmetic itself stays as it is outside of :meth:`arithmetic`; backward belongs there.
        """
        with torch.autocast(self.device.type, enabled=False):  # the outermost context keeps what inner ones cast
            yield

    @property
    def tokens_at_once(self) -> int | None:
        """The most tokens that a pass takes well; a larger batch goes through in pieces. None for no limit."""
        if self.engine == "plain" or self.device.type != "cpu":
            return None
        return 2 * TOKENS_AT_ONCE if self.precision == "bf16" else TOKENS_AT_ONCE  # as many bytes

    @property
    def tokens_together(self) -> int:
        """The most tokens of several trainings that go through together; 0 where they do not."""
        if self.engine == "plain":
            return 0
        return self.tokens_at_once or TOKENS_TOGETHER


def resolve(spec: ComputeSpec) -> Compute:
    """Choose the device and precision that this machine is good at.

    Raises:
        UsageError: cuda is asked for and there is none.
    """
    cuda = torch.cuda.is_available()
    if spec.device == "cuda" and not cuda:
        why = "torch finds none: there is no such device, no driver, or torch was installed without CUDA"
        raise UsageError("no CUDA device is at hand", where="--device", why=why, mend="use --device cpu or auto")
    kind = "cuda" if spec.device == "cuda" or (spec.device == "auto" and cuda) else "cpu"
    precision = spec.precision
    if precision == "auto":
        precision = "bf16" if _has_fast_bf16(kind) else "fp32"
    return Compute(torch.device(kind), precision, spec.engine)


def settle(spec: ComputeSpec) -> ComputeSpec:
    """The same choices with nothing left to ``auto``, so that they are part of a run's identity."""
    found = resolve(spec)
    return ComputeSpec(device=found.device.type, precision=found.precision, engine=found.engine)  # type: ignore[arg-type]


def _has_fast_bf16(kind: str) -> bool:
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bf16_is_faster()


def prepare(encoder: _Model, compute: Compute) -> _Model:
    """Move an encoder (any module with a ``backbone``) to the device, and put the fast engine's forms in place.

    Where it names its ``blocks``, they hand on bf16 in that precision.
    """
    if any(one.device.type != compute.device.type for one in encoder.parameters()):
        encoder.to(compute.device)
    if compute.engine == "plain":
        return encoder
    backbone = cast(PreTrainedModel, encoder.backbone)
    if compute.device.type != "cpu":
        if isinstance(encoder, Encoder) and use_varlen_attention(backbone):
            encoder.end_to_end = UNPADDED
            use_dropout_by_part(encoder)
        return encoder
    keep_memory()
    if use_fast_attention(backbone) and isinstance(encoder, Encoder):
        encoder.end_to_end = GROUPED
    use_byte_dropout(encoder)
    if compute.precision == "bf16" and hasattr(encoder, "blocks"):
        hand_on_in_bf16(cast(nn.ModuleList, encoder.blocks))
    return encoder

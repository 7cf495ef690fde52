"""All that decides how a training goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class State:
    """Where a training stands between two steps; nothing writes into it again once it is taken.

    Attributes:
        tensors: what trains, the optimizer's moments, random streams, answers; by name, on any device.
        numbers: the rest, as JSON can hold it.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]

"""All that decides how a training goes on, and what a training must offer to be saved and carried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from welltuned.record import Incident


@dataclass(frozen=True)
class State:
    """Where a training stands between two steps; nothing writes into it again once it is taken.

    Attributes:
        tensors: what trains, the optimizer's moments, random streams, answers; by name, on any device.
        numbers: the rest, as JSON can hold it; ``step`` among them.
    """

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


class Resumable(Protocol):
    """A training that goes step by step."""

    step: int
    steps: int
    incidents: list[Incident]
    scale: float

    @property
    def size(self) -> int:
        """About the bytes of a state."""

    @property
    def ended(self) -> bool:
        """Whether nothing is left to do."""

    @property
    def is_at_rest(self) -> bool:
        """Whether the step before has ended an epoch, or whatever else is worth saving after."""

    def run(self, until: int | None = None, after: Callable[[], None] = lambda: None) -> None:
        """Go on up to step ``until``, or to the end; ``after`` is called after every step."""

    def snapshot(self, *, copied: bool = True) -> State:
        """Where it stands; without copies, to be read before the next step."""

    def restore(self, state: State) -> None:
        """Go on from there.

        Raises:
            KeyError: the state is that of another training.
        """

    def slow_down(self, scale: float, why: str) -> None:
        """Go on with this share of the planned learning rate, and keep why in ``incidents``."""

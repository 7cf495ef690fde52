"""What stands in memory all through training: weights, gradients, the optimizer's state."""

from __future__ import annotations

from dataclasses import dataclass

from welltuned.encoders import Encoder

ADAM_BYTES = 8
"""Two moments in fp32 for each trained parameter (Kingma and Ba 2015, algorithm 1)."""


@dataclass(frozen=True)
class States:
    """Bytes of weights, of their gradients, and of the optimizer's state."""

    weights: int
    gradients: int
    optimizer: int


def states(encoder: Encoder) -> States:
    """Read off an encoder that its method is attached to."""
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    return States(
        weights=sum(parameter.nbytes for parameter in encoder.parameters()),
        gradients=sum(parameter.nbytes for parameter in trained),
        optimizer=sum(parameter.numel() * ADAM_BYTES for parameter in trained),
    )

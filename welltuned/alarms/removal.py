"""A method whose tensors might as well not be there."""

from __future__ import annotations

import numpy as np

from welltuned.alarms._evidence import Removal, probabilities
from welltuned.record import Alarm

LEAST = 0.001
"""A change of a probability that counts as one."""


def changes_nothing(one: Removal) -> list[Alarm]:
    """Put back to where training began, everything but the head leaves every answer as it is."""
    change = float(np.abs(probabilities(one.trained) - probabilities(one.removed)).max(initial=0.0))
    if not one.tensors or change > LEAST:
        return []
    return [
        Alarm(
            kind="dead-adapter",
            what=f"without what the method trained beside the head ({one.tensors} tensors) no probability of "
            f"{len(one.trained)} dev rows changes by more than {100 * LEAST:g} points (at most {100 * change:.2g})",
            cause="only the head has learned: the other tensors did not move, or are not part of the forward pass",
            mend="check that the optimizer holds them, and try a higher learning rate; head-tuning would cost less",
        )
    ]

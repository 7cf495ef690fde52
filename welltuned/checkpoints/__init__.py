"""Where a training stands, on disk, so that the same command goes on as if it had never stopped.

Read along the way of a checkpoint: ``state`` is what decides how a training goes on, ``identity`` says of which one it
is, ``store`` brings it to the disk whole and back checked, ``carrying`` saves when it is time and carries a training to
its end through interruptions.
"""

from welltuned.checkpoints.carrying import Saving, carry_through
from welltuned.checkpoints.identity import Identity
from welltuned.checkpoints.state import Resumable, State
from welltuned.checkpoints.store import CHECKPOINTS, Store, forget_checkpoints

__all__ = [
    "CHECKPOINTS", "Identity", "Resumable", "Saving", "State", "Store", "carry_through", "forget_checkpoints",
]  # fmt: skip

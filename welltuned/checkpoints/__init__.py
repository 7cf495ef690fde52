"""Where a training stands, taken at any step, so that it goes on as if it had never stopped."""

from welltuned.checkpoints.state import State

__all__ = ["State"]

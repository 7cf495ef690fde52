"""Bytes of a training step: predicted from a model's structure alone, and measured by the allocator.

AdamW in fp32 keeps 4 bytes a weight, 4 bytes a gradient and 8 bytes of optimizer state for each trained parameter;
frozen parameters cost their 4 bytes alone. Activations depend on method, rows and tokens: :mod:`.predicted` has
their closed form, :mod:`.measured` what a real step took. :mod:`.stored` tells the bytes that a run leaves on disk.
"""

from welltuned.memory.fitting import require_fit
from welltuned.memory.guard import Guard, release
from welltuned.memory.limits import available, resident
from welltuned.memory.measured import is_out_of_memory, longest_batch, measure_step, out_of_memory_told
from welltuned.memory.pieces import fewer, first_line, in_pieces, too_much
from welltuned.memory.predicted import Footprint, footprint, played_step
from welltuned.memory.stored import bytes_of_checkpoints, bytes_stored

__all__ = [
    "Footprint", "Guard", "available", "bytes_of_checkpoints", "bytes_stored", "fewer", "first_line", "footprint",
    "in_pieces", "is_out_of_memory", "longest_batch", "measure_step", "out_of_memory_told", "played_step",
    "release", "require_fit", "resident", "too_much",
]  # fmt: skip

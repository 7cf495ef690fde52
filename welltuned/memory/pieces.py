"""Work on rows that is done in smaller pieces from the moment on where the memory did not suffice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from welltuned.errors import ResourceError
from welltuned.memory.guard import release
from welltuned.memory.measured import is_out_of_memory
from welltuned.record import Incident

_Found = TypeVar("_Found")


def in_pieces(
    work: Callable[[int], _Found], at_once: int, rows: int, during: str, smaller: Callable[[int, str], None]
) -> _Found:
    """Do some work on ``rows`` rows, so many at once; where that does not fit, begin anew with half as many.

    Args:
        work: is given how many rows to take at once.
        during: what the work is called.
        smaller: is told before each new beginning: the rows that did not fit, and what the allocator said.

    Raises:
        ResourceError: one row was too much.
    """
    size = min(at_once, rows)
    while True:
        try:
            return work(size)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            told = first_line(error)
        if size <= 1:
            raise too_much(during, told)
        smaller(size, told)
        release()
        size //= 2


def fewer(during: str, rows: int, told: str, step: int) -> Incident:
    """That so many rows at once did not fit at this step, and what was done; for the record."""
    what = f"{during} on {rows} rows at once did not fit the memory ({told}); done with {rows // 2} at once"
    return Incident(kind="memory", step=step, what=what, rows=rows // 2)


def first_line(error: BaseException) -> str:
    """What an allocator said, without its stack."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def too_much(during: str, told: str) -> ResourceError:
    """The error of work that cannot be done in smaller pieces."""
    return ResourceError(
        f"{during} does not fit the memory, not even one row at a time",
        why=told,
        mend="use a method that trains less, a smaller model or --max-length, or more memory; checkpoints are kept",
    )

"""A wish to stop, by Ctrl-C or SIGTERM: obeyed at once, or, where work can be saved, after the step that goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class StoppedError(BaseException):
    """A signal asked the command to stop. Not an ``Exception``, so that nothing on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        self.number = number


class _Wish:
    """Of this process; signals are the process's too."""

    depth = 0
    number: int | None = None
    urgent = False


def ask(number: int) -> bool:
    """Wish for a stop by a signal's number; True where the wish is only noted, because work is being saved first.

    Raises:
        StoppedError: at once, where nothing would be saved or the wish was uttered before.
    """
    if not _Wish.depth or _Wish.number is not None:
        _Wish.urgent = True
        raise StoppedError(number)
    _Wish.number = number
    return True


def obey() -> None:
    """Stop here, if that was wished for.

    Raises:
        StoppedError: it was.
    """
    if _Wish.number is not None:
        raise StoppedError(_Wish.number)


def is_urgent() -> bool:
    """Whether the wish was uttered twice, so that nothing more is to be saved."""
    return _Wish.urgent


@contextmanager
def deferred() -> Iterator[None]:
    """Within this block a first wish is noted, and :func:`obey` obeys it; at the latest the block's end does."""
    _Wish.depth += 1
    try:
        yield
    except Exception:
        obey()  # whoever takes the failure for one of several would go on with the next
        raise
    else:
        if _Wish.depth == 1:
            obey()
    finally:
        _Wish.depth -= 1
        if not _Wish.depth:
            _Wish.number, _Wish.urgent = None, False

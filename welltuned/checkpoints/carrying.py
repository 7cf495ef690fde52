"""A training carried to its end: from its newest checkpoint, saved when it is time, back again where it diverged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from welltuned import stopping
from welltuned.checkpoints.state import Resumable
from welltuned.checkpoints.store import Store
from welltuned.errors import DivergedError, ResourceError, WelltunedError

SHARE = 0.01
"""Of the time that a training takes, what saving may take of itself; what was asked for is done whatever it takes."""
GUESS, BYTES_A_SECOND = 0.1, 400e6
"""Seconds that a save is taken to last until one was made: at least so many, and more for a large state."""
SLOWER = 0.5
ROLLBACKS = 3


@dataclass(frozen=True)
class Saving:
    """When a training is saved, and what is done where it diverges.

    Attributes:
        steps: save every so many steps; None for no such rule.
        minutes: save after so many minutes without a save, and at the end of an epoch once that costs a hundredth of
            the time at most.
        limit: checkpoints that are kept.
        rollback: where a loss or gradient is not finite, go back to the newest checkpoint and on at half the rate,
            three times at most.
    """

    steps: int | None = None
    minutes: float = 5.0
    limit: int = 2
    rollback: bool = False


class _Turn:
    """Whether it is time to save."""

    def __init__(self, saving: Saving, size: int) -> None:
        self._saving, self._last, self._cost = saving, time.perf_counter(), max(GUESS, size / BYTES_A_SECOND)

    def has_come(self, training: Resumable) -> bool:
        """After a step."""
        if self._saving.steps is not None and (training.step % self._saving.steps == 0 or training.is_at_rest):
            return True
        since, least = time.perf_counter() - self._last, self._cost / SHARE
        return since >= (least if training.is_at_rest else max(least, 60 * self._saving.minutes))

    def done(self, save: Callable[[], None]) -> None:
        """Save, and learn what that takes."""
        started = time.perf_counter()
        save()
        self._last = time.perf_counter()
        self._cost = self._last - started


def carry_through(
    training: Resumable,
    store: Store,
    saving: Saving,
    say: Callable[[str], None],
    reached: Callable[[], None] = lambda: None,
) -> bool:
    """Train to the end, from the newest checkpoint of this very training if there is one.

    Ctrl-C and SIGTERM are obeyed after the step that goes on, once it is saved.

    Args:
        reached: called after every step; what it raises ends the training there.

    Returns:
        Whether it went on from a checkpoint, so that another process had taken steps of it.

    Raises:
        StoppedError: by a signal; where the training stands is on disk.
        DivergedError: a loss or gradient is not finite; the newest checkpoint is from before.
        ResourceError: the memory does not suffice, and where the training stands is on disk; or the disk does not, and
            the newest checkpoint is whole.
    """

    def save() -> None:
        store.write(training.snapshot(copied=False))

    def after() -> None:
        stopping.obey()
        reached()
        if turn.has_come(training):
            turn.done(save)

    with stopping.deferred():
        went_on = _go_on(training, store, say)
        turn, rollbacks = _Turn(saving, training.size), 0
        if saving.rollback and not training.step:
            turn.done(save)
        while not training.ended:
            try:
                with _saved_where_it_breaks_off(save, lambda: say(f"saved at step {training.step:,}")):
                    training.run(after=after)
            except DivergedError as error:
                rollbacks += 1
                if not saving.rollback or rollbacks > ROLLBACKS:
                    raise _with_way_out(error, store, rollbacks - 1) from error
                _go_back(training, store, error, say)
    return went_on


@contextmanager
def _saved_where_it_breaks_off(save: Callable[[], None], tell: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except stopping.StoppedError:
        if not stopping.is_urgent():
            save()
            tell()
        raise
    except ResourceError:
        with suppress(ResourceError, MemoryError):  # of the two failures the first is told
            save()
        raise


def _go_on(training: Resumable, store: Store, say: Callable[[str], None]) -> bool:
    """Whether there was a checkpoint to go on from."""
    state = store.newest()
    if state is None:
        return False
    try:
        training.restore(state)
    except KeyError as error:
        say(f"warning: the checkpoint is not used, it lacks {error}; it is from another version of Welltuned")
        return False
    say(f"goes on from the checkpoint at step {training.step:,} of {training.steps:,}")
    return True


def _go_back(training: Resumable, store: Store, error: DivergedError, say: Callable[[str], None]) -> None:
    """To the newest checkpoint, with half the rate."""
    met, state = training.step + 1, store.newest()
    if state is None:
        raise error
    incidents, scale = training.incidents, training.scale
    training.restore(state)
    training.incidents = incidents
    what = f"step {met:,}: {error.what}; back to step {training.step:,} at half the learning rate"
    training.slow_down(SLOWER * scale, what)
    say(f"diverged at step {met:,}; goes back to step {training.step:,} and on at half the learning rate")


def _with_way_out(error: DivergedError, store: Store, tried: int) -> WelltunedError:
    there = store.newest() is not None
    after = f" after {tried} times back at half the rate" if tried else ""
    mend = error.mend or ""
    if there and not tried:
        mend += "; or run the same command with --on-divergence rollback, which goes on from the last checkpoint"
    return DivergedError(f"{error.what}{after}", where=error.where, why=error.why, mend=mend)

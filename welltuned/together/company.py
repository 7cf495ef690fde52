"""Several trainings taken from step to step, in one step each.

Each keeps what is its own: initialisation, order of rows, rate and schedule, decay, clipping, random stream, epochs,
patience. Each goes the way that it goes alone, up to rounding. One that diverges is left out, and the others go on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from welltuned.checkpoints import State
from welltuned.errors import DivergedError
from welltuned.progress import Observer
from welltuned.record import Incident
from welltuned.train import Training


class Company(ABC):
    """K trainings, not begun, with batches of one size.

    Args:
        trainings: with observers that keep silent.
        observer: told of the rows of all.

    Attributes:
        trainings: as they stand.
        step, steps: of the one that goes on longest.
        diverged: those that were left out, by their places.
        incidents, scale: none, and the whole of the planned rate; nothing here slows down.
    """

    def __init__(self, trainings: Sequence[Training], observer: Observer) -> None:
        self.trainings, self._observer = list(trainings), observer
        self.step, self.steps = 0, max(one.steps for one in trainings)
        self.diverged: set[int] = set()
        self.incidents: list[Incident] = []
        self.scale = 1.0

    @property
    @abstractmethod
    def what(self) -> str:
        """What is trained, in the plural."""

    @abstractmethod
    def _take_step(self, active: list[int]) -> None:
        """The next step of those at these places; one that diverges is put with ``diverged``."""

    @property
    def _ids(self) -> list[str]:
        return [one.spec.id for one in self.trainings]

    @property
    def _active(self) -> list[int]:
        return [at for at, one in enumerate(self.trainings) if at not in self.diverged and not one.ended]

    @property
    def size(self) -> int:
        """Of all of them."""
        return sum(one.size for one in self.trainings)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train or to evaluate."""
        return not self._active

    @property
    def is_at_rest(self) -> bool:
        """Whether the step before has ended an epoch."""
        return all(self.trainings[at].is_at_rest for at in self._active)

    def run(self, until: int | None = None, after: Callable[[], None] = lambda: None) -> None:
        """Train on up to step ``until``, or to the end; dev is answered wherever an epoch ends.

        Raises:
            StoppedError: in an evaluation, where a stop is wished for; it will be done anew.
        """
        goal = self.steps if until is None else until
        total = sum(len(self.trainings[at].train) * self.trainings[at].spec.epochs for at in self._active)
        which = f"{len(self._active)} {self.what} together" if len(self._active) > 1 else f"the last of the {self.what}"
        self._observer.stage(f"training {which}", total)
        self._observer.advance(sum(_rows_done(self.trainings[at]) for at in self._active))
        has_worked = False
        while True:
            for at in self._active:
                if self.trainings[at].is_unanswered:
                    self._answer(at)
                    has_worked = True
            if has_worked:
                after()
            active = self._active
            if self.step >= goal or not active:
                return
            self._take_step(active)
            self.step += 1
            has_worked = True

    def _answer(self, at: int) -> None:
        try:
            self.trainings[at].answer()
        except DivergedError:
            self.diverged.add(at)

    def snapshot(self, *, copied: bool = True) -> State:
        """Where all of them stand, each by its spec's id."""
        tensors: dict[str, Tensor] = {}
        members: dict[str, Any] = {}
        for own, training in zip(self._ids, self.trainings, strict=True):
            state = training.snapshot(copied=copied)
            tensors |= {f"{own}.{name}": value for name, value in state.tensors.items()}
            members[own] = state.numbers
        diverged = [self._ids[at] for at in sorted(self.diverged)]
        return State(tensors, {"step": self.step, "diverged": diverged, "members": members})

    def restore(self, state: State) -> None:
        """Go on from there; others may have been among them, whose runs are done by now.

        Raises:
            KeyError: one of these was not.
        """
        members = state.numbers["members"]
        for own, training in zip(self._ids, self.trainings, strict=True):
            tensors = {
                name.removeprefix(f"{own}."): value
                for name, value in state.tensors.items()
                if name.startswith(f"{own}.")
            }
            training.restore(State(tensors, members[own]))
        self.step = state.numbers["step"]
        self.diverged = {at for at, own in enumerate(self._ids) if own in state.numbers["diverged"]}

    def slow_down(self, scale: float, why: str) -> None:
        """Never called for: one that diverges is left out instead of raising."""
        raise NotImplementedError


def _rows_done(training: Training) -> int:
    epochs, steps = divmod(training.step, training.per_epoch)
    return epochs * len(training.train) + steps * training.spec.batch_size

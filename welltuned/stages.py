"""What trainings have in common at their beginning is trained once.

Two runs that differ in nothing but how long and at which rates they train are the same run up to the first step whose
rates differ: (rate, 7 epochs) is the beginning of (rate, 9 epochs) under a constant schedule, and up to the decay of
the first under warmup-stable-decay. With a linear decay the rates differ at once, and nothing is shared. The state at
such a step is kept in main memory until the last run that goes on from it has begun.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from welltuned.checkpoints import Resumable, State
from welltuned.memory import available
from welltuned.optimizer import rate
from welltuned.spec import RunSpec

SHARE = 4
"""States take at most one such part of the memory that is available."""


@dataclass(frozen=True)
class _Planned:
    """A run that is to come, with its rate at every step."""

    spec: RunSpec
    rates: Sequence[float]

    def shared(self, other: _Planned) -> int:
        """The steps at the beginning of both at which nothing differs."""
        if _fixed(self.spec) != _fixed(other.spec):
            return 0
        pairs = zip(self.rates, other.rates, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _fixed(spec: RunSpec) -> RunSpec:
    """The run without what only decides its rates and its length."""
    neutral = {"epochs": 1, "lr": 1.0, "schedule": "constant", "warmup_ratio": 0.0, "warmup_steps": None}
    return spec.model_copy(update={"train": spec.train.model_copy(update=neutral)})


@dataclass
class Stages:
    """The runs to come, and the states from which they can go on."""

    _coming: dict[str, RunSpec] = field(default_factory=dict)
    _states: list[tuple[_Planned, State]] = field(default_factory=list)
    _ends: dict[str, State] = field(default_factory=dict)

    def expect(self, specs: Sequence[RunSpec]) -> None:
        """Say which runs are to come, in whatever order; nothing is kept for others."""
        self._coming = {spec.id: spec for spec in specs}

    def begin(self, spec: RunSpec, training: Resumable, per_epoch: int) -> list[int]:
        """Put a training at the furthest step that another run has reached for it.

        Args:
            training: of ``spec``, not begun.
            per_epoch: its steps an epoch.

        Returns:
            The steps at which :meth:`keep` is to be called, for the runs to come.
        """
        own = _planned(spec, per_epoch)
        self._coming.pop(spec.id, None)
        coming = [_planned(other, per_epoch) for other in self._coming.values()]
        reached = [state for planned, state in self._states if _step(state) <= own.shared(planned)]
        if reached:
            training.restore(max(reached, key=_step))
        self._states = [
            (planned, state)
            for planned, state in self._states
            if any(_step(state) <= other.shared(planned) for other in coming)
        ]
        least = max(training.step + 1, per_epoch)  # a shorter beginning is not worth a state
        return sorted({step for other in coming if (step := own.shared(other)) >= least})

    def bring(self, spec: RunSpec, state: State) -> None:
        """Keep the end of a run that was trained together with others, until it asks for it."""
        self._ends[spec.id] = state

    def is_brought(self, spec: RunSpec, training: Resumable) -> bool:
        """Whether the end of this run is here; then the training is put there, and there is nothing left to train."""
        state = self._ends.pop(spec.id, None)
        if state is not None:
            training.restore(state)
        return state is not None

    def keep(self, spec: RunSpec, training: Resumable, per_epoch: int) -> None:
        """Take the state of a training at one of these steps, if the memory suffices and it went as planned."""
        size = sum(_size(state) for _, state in self._states)
        state = training.snapshot(copied=False)
        device = next(iter(state.tensors.values())).device
        if training.scale == 1.0 and (size + _size(state)) * SHARE <= available(device):
            self._states.append((_planned(spec, per_epoch), training.snapshot()))


def shares_its_beginning(spec: RunSpec, others: Sequence[RunSpec], per_epoch: int) -> bool:
    """Whether a run has a first epoch or more in common with another one of these."""
    own = _planned(spec, per_epoch)
    return any(own.shared(_planned(other, per_epoch)) >= per_epoch for other in others if other.id != spec.id)


def _step(state: State) -> int:
    return int(state.numbers["step"])


def _size(state: State) -> int:
    return sum(tensor.nbytes for tensor in state.tensors.values())


def _planned(spec: RunSpec, per_epoch: int) -> _Planned:
    steps = per_epoch * spec.train.epochs
    factor = rate(spec.train, steps)
    return _Planned(spec, [spec.train.lr * factor(step) for step in range(steps)])

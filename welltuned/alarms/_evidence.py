"""What alarms look at: a kind of evidence for each moment at which something can be seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from welltuned.data.dataset import Dataset
from welltuned.errors import WelltunedError
from welltuned.record import EpochRow

Logits = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Trace:
    """What a trained tensor went through: whether any gradient in it was ever seen, and whether it has moved."""

    name: str
    gradient: bool
    moved: bool


@dataclass(frozen=True)
class Training:
    """A run, after an epoch or at its end.

    Attributes:
        curve: of the epochs so far.
        logits: [N, C] on dev: after the last epoch while training goes on, of the kept epoch once it has finished.
        labels: [N] of dev.
        train_majority: share of the most frequent class among the training rows.
        traces: of every trained tensor.
        finished: whether this is the end.
    """

    curve: Sequence[EpochRow]
    logits: Logits
    labels: Ints
    train_majority: float
    traces: Sequence[Trace] = ()
    finished: bool = True

    @property
    def late(self) -> bool:
        """Whether so much was trained that a model which has learned nothing is a finding."""
        return self.finished or len(self.curve) >= MANY_EPOCHS

    @property
    def answers(self) -> Ints:
        """[N] the class that each row is given."""
        answers: Ints = self.logits.argmax(axis=1)
        return answers


MANY_EPOCHS = 3


@dataclass(frozen=True)
class Removal:
    """Some dev rows answered as trained, and with everything but the head put back to where training began.

    Attributes:
        trained, removed: [N, C] logits of the same rows.
        tensors: how many trained tensors were put back.
    """

    trained: Logits
    removed: Logits
    tensors: int


@dataclass(frozen=True)
class Reading:
    """Rows of a labelled split as a model reads them.

    Attributes:
        split: its name.
        labels: [N].
        cut: [N] whether the row lost tokens.
        names: of the classes.
        max_length: tokens a row at most.
    """

    split: str
    labels: Ints
    cut: Bools
    names: Sequence[str]
    max_length: int


@dataclass(frozen=True)
class Rows:
    """The data as it was cut, before any training."""

    dataset: Dataset


@dataclass(frozen=True)
class Standing:
    """A configuration beside a baseline that reads the same texts, on dev.

    Attributes:
        logits: [S, N, C], one table a seed.
        labels: [N].
        baseline: [N, C] of TF-IDF with logistic regression.
    """

    logits: Logits
    labels: Ints
    baseline: Logits


@dataclass(frozen=True)
class Panel:
    """All finished runs of a comparison on dev, and what one text alone can tell.

    Attributes:
        logits: by configuration, [S, N, C].
        labels: [N].
        majority: [N, C] of the majority class.
        alone: [N, C] of baselines that read one text of two, by name.
    """

    logits: Mapping[str, Logits]
    labels: Ints
    majority: Logits
    alone: Mapping[str, Logits]


@dataclass(frozen=True)
class Failure:
    """What broke a run off."""

    error: WelltunedError


Evidence = Training | Removal | Reading | Rows | Standing | Panel | Failure


def better_by_chance(right: Bools, other: Bools) -> float:
    """One-sided p-value (exact McNemar) of "the first [N] is no better than the second"."""
    wins, losses = int((right & ~other).sum()), int((other & ~right).sum())
    return float(binom.sf(wins - 1, wins + losses, 0.5)) if wins + losses else 1.0


def probabilities(logits: Logits) -> NDArray[np.float64]:
    """Softmax over the last axis."""
    shifted = logits.astype(np.float64)
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return shares

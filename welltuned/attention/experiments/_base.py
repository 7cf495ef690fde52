"""What an experiment is: numbers in, a finding out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import lookup, numbers
from welltuned.attention.lookup import Lookup
from welltuned.errors import UsageError

Encoders = Callable[[str, int], tuple[Any, Any]]
"""(name of a model, tokens a text at most) -> the Transformers model, forming its weights, and its tokenizer."""


@dataclass(frozen=True)
class Finding:
    """What an experiment found.

    Attributes:
        results: JSON values.
        lines: the same in words and tables, for people.
        figures: by file name without ending, each drawn when called.
    """

    results: Mapping[str, Any]
    lines: Sequence[str]
    figures: Mapping[str, Callable[[], Figure]] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment(ABC):
    """Base of the experiments; a subclass adds its numbers as fields made by ``numbers``."""

    @abstractmethod
    def run(self, encoders: Encoders) -> Finding:
        """Make the experiment; only one on a real model uses ``encoders``.

        Raises:
            UsageError: numbers that are right one by one do not fit together.
        """

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON values, as ``--input`` takes them."""
        return {one.name: numbers.plain(getattr(self, one.name)) for one in fields(self)}


@dataclass(frozen=True)
class TableExperiment(Experiment):
    """An experiment on one query put to a table; the defaults are the sheet's example."""

    query: numbers.Vector = numbers.vector((-2, 1, 1), "what is looked for")
    keys: numbers.Matrix = numbers.matrix(
        ((0, 1, 2), (1, 1, 2), (-1, 1, -2), (0, -1, -2)), "what each row is found by, one key a row"
    )
    values: numbers.Matrix = numbers.matrix(
        ((3, 2, -4), (3, -2, 4), (3, 2, 0), (3, 2, 4)), "what each row holds, one value a row"
    )
    temperature: float = numbers.number(
        1.0, "divides the scores (0: the limit, which is argmax or the mean of ties)", low=0
    )

    def lookup(self) -> Lookup:
        """The table, checked as a whole."""
        given = {name: numbers.plain(getattr(self, name)) for name in ("query", "keys", "values", "temperature")}
        return lookup.of(given, where="query, keys and values")


def made(kind: type[Experiment], given: numbers.Given) -> Experiment:
    """An experiment with these numbers, and its defaults for the rest.

    Raises:
        UsageError: a number the experiment does not take, or one it refuses.
    """
    return kind(**numbers.checked(kind, given))


def found(experiment: Experiment, encoders: Encoders, where: str) -> Finding:
    """Run the experiment; numbers that do not fit together are refused with the place they came from."""
    try:
        return experiment.run(encoders)
    except UsageError as error:
        if error.where is not None and error.where.startswith("--"):
            raise
        place = where if error.where is None else f"{where}: {error.where}"
        raise UsageError(error.what, where=place, why=error.why, mend=error.mend) from error


def tensor(rows: Any) -> Tensor:
    """Numbers or rows of numbers in float64."""
    return torch.tensor(rows, dtype=torch.float64)

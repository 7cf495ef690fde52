"""What a training step takes in memory, and the largest batch that fits."""

from __future__ import annotations

from typing import Any, Literal

from welltuned.record.run import Memory, Provenance
from welltuned.record.schema import SCHEMA, Schema


class MemoryRow(Schema):
    """The memory of one method's training step: predicted in closed form, and measured unless that was left out.

    ``formula`` gives the bytes that wait for backward, with B rows and T tokens.
    """

    name: str
    method: str
    model: str
    config: dict[str, Any]
    predicted: Memory
    measured: Memory | None
    formula: str

    @property
    def off(self) -> float | None:
        """Relative error of the predicted peak."""
        return None if self.measured is None else self.predicted.peak / self.measured.peak - 1


class MemoryRecord(Schema):
    """What ``memory`` found; ``results.json`` of its folder."""

    kind: Literal["memory"] = "memory"
    schema_version: int = SCHEMA
    command: str
    data: str
    rows: list[MemoryRow]
    provenance: Provenance


class TrialRow(Schema):
    """A batch that was really run in a process of its own.

    ``peak`` is the process's; None where it was stopped on its way. ``predicted`` counts the tensors alone.
    """

    rows: int
    fits: bool
    peak: int | None
    predicted: int
    seconds: float


class CapacityPart(Schema):
    """The largest batch of training or of evaluation, of T ``tokens`` in each row.

    ``overhead`` is what the process takes beside tensors, found on one row; ``predicted`` the largest batch by the
    closed form on top of it. ``largest`` was run and fits; one row more was run and does not, unless all ``rows``
    of the data fit. 0 says that not even one row does.
    """

    tokens: int
    rows: int
    overhead: int
    predicted: int
    largest: int
    trials: list[TrialRow]

    @property
    def peak(self) -> int | None:
        """Bytes of the process at the largest batch."""
        return next((trial.peak for trial in self.trials if trial.rows == self.largest), None)


class CapacityRow(Schema):
    """The largest batches of one method on one model."""

    name: str
    method: str
    model: str
    config: dict[str, Any]
    precision: str
    train: CapacityPart
    evaluation: CapacityPart


class CapacityRecord(Schema):
    """What ``max-batch`` found under ``limit`` bytes; ``results.json`` of its folder."""

    kind: Literal["capacity"] = "capacity"
    schema_version: int = SCHEMA
    command: str
    data: str
    limit: int
    limit_told: str
    rows: list[CapacityRow]
    provenance: Provenance

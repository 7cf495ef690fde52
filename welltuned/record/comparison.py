"""What a comparison found: its table, its paired statements, its verdict."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from welltuned.record.run import Alarm, Measures, Opening, Provenance, Score
from welltuned.record.schema import SCHEMA, Schema

Cost = Literal["trained parameters", "seconds"]


class BestAfter(Schema):
    """The expected best dev score after ``trials`` random trials, with its interval."""

    trials: int
    value: float
    low: float
    high: float


class Budget(Schema):
    """How much a configuration was tuned: its trials, their dev scores, and the seconds they took together."""

    trials: int
    seconds: float
    scores: list[float]
    best_after: list[BestAfter]


class Suspect(Schema):
    """A dev row that every run gives the same other class than its label, each with ``confidence`` or more.

    ``row`` counts from 0 within dev, ``label`` and ``said`` are class indices; ``origin`` is the place in the source.
    """

    row: int
    label: int
    said: int
    confidence: float
    origin: str = ""
    text: str = ""
    pair: str | None = None


class TableRow(Schema):
    """One line of a comparison: a configuration (method x model) over its seeds, or a baseline.

    ``kind`` is "method", "baseline", or "failed" (did not fit the device, or diverged: ``failure`` says why).
    ``seconds`` is the mean training time of one seed; ``memory_bytes`` the peak of one training step.
    """

    name: str
    kind: Literal["method", "baseline", "failed"]
    method: str | None = None
    model: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    lr: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seeds: list[int] = Field(default_factory=list)
    runs: list[str] = Field(default_factory=list)
    trained_parameters: int | None = None
    all_parameters: int | None = None
    memory_bytes: int | None = None
    seconds: float | None = None
    dev: Score | None = None
    test: Score | None = None
    measures: Measures | None = None
    failure: str | None = None
    budget: Budget | None = None
    alarms: list[Alarm] = Field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Share of all parameters that is trained."""
        if self.trained_parameters is None or not self.all_parameters:
            return None
        return self.trained_parameters / self.all_parameters


class Statement(Schema):
    """A paired statement about two rows of the table, over the same test items.

    ``low`` and ``high`` bound the difference a - b simultaneously over all pairs at ``level``; ``p`` is the pair's
    own p-value and ``p_holm`` the one corrected over all pairs, on which ``significant`` is decided.
    ``p_equivalence`` is that of two one-sided tests against ``margin``, corrected likewise; ``equivalent`` says whether
    they show that the difference is within it.
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    scope: str
    sentence: str
    level: float = 0.95
    significant: bool = False
    margin: float | None = None
    p_equivalence: float | None = None
    equivalent: bool | None = None


class ComparisonRecord(Schema):
    """What a comparison found; ``results.json`` of its folder.

    Beside it: ``labels.safetensors`` with the opened test.labels [M], and ``baselines.safetensors`` with the
    baselines' log-probabilities, so that every figure can be recomputed from the folder. ``cost`` is what the cheapest
    configuration has least of; ``smallest_visible`` the difference that each pair would have shown with power 0.8,
    ``smallest_planned`` what was foretold of it before training.
    ``alone`` are baselines that read one text of two; ``alarms`` are those of the data and of all rows together.
    """

    kind: Literal["comparison"] = "comparison"
    schema_version: int = SCHEMA
    id: str = ""
    winner: str | None = None
    command: str
    data: str
    data_hash: str
    labels: list[str]
    rows: dict[str, int]
    class_shares: dict[str, dict[str, float]]
    table: list[TableRow]
    statements: list[Statement] = Field(default_factory=list)
    verdict: str
    budget: str
    level: float = 0.95
    margin: float = 0.01
    cost: Cost = "trained parameters"
    smallest_visible: float | None = None
    smallest_planned: float | None = None
    alone: list[TableRow] = Field(default_factory=list)
    suspects: list[Suspect] = Field(default_factory=list)
    alarms: list[Alarm] = Field(default_factory=list)
    test_openings: int
    openings: list[Opening] = Field(default_factory=list)
    test_hash: str = ""
    notes: list[str] = Field(default_factory=list)
    provenance: Provenance

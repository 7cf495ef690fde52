"""What a search over hyperparameters found: every trial, the one chosen on dev, and its test score."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from welltuned.record.comparison import BestAfter
from welltuned.record.run import Alarm, EpochRow, Opening, Provenance, Score
from welltuned.record.schema import SCHEMA, Schema


class SearchTrial(Schema):
    """One setting, trained once a seed.

    Attributes:
        values: by hyperparameter, as resolved.
        runs: names of the folders below ``trials/``.
        dev: mean over seeds of the best epoch's dev accuracy; None if the trial failed.
        dev_by_seed: one accuracy a seed.
        dev_loss: mean over seeds of the dev loss at those epochs, in nats.
        best_epochs: one a seed.
        seconds: training and evaluation on dev, all seeds together.
        shared: of these, the seconds of a beginning that another trial had in common and had done before.
        failure: why there is no score.
        given_up: after how many epochs of its first seed the trial was given up, beside the others; it is not chosen
            then. The figures are of those epochs alone.
    """

    number: int
    values: dict[str, Any]
    runs: list[str]
    dev: float | None = None
    dev_by_seed: list[float] = Field(default_factory=list)
    dev_loss: float | None = None
    best_epochs: list[int] = Field(default_factory=list)
    seconds: float = 0.0
    shared: float = 0.0
    failure: str | None = None
    given_up: int | None = None
    alarms: list[Alarm] = Field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether it came to its end, so that it may be chosen."""
        return self.dev is not None and self.given_up is None


class GivenUp(Schema):
    """A trial that was given up after the epochs of ``curve``; ``given_up.json`` of its folder."""

    schema_version: int = SCHEMA
    id: str
    data_hash: str
    weights_hash: str
    curve: list[EpochRow]


class SearchRecord(Schema):
    """What ``search`` found; ``results.json`` of its folder.

    Attributes:
        space: what was searched, by hyperparameter, in words.
        trials: in the order in which they were tried.
        chosen: number of the trial chosen on dev.
        dev: of the chosen trial; being the best of several it leans high.
        test: of the chosen trial, opened once, after the choice.
        near: numbers of other trials within one standard error of the chosen one's dev accuracy.
        advice: where the space may have been too small.
        best_after: expected best dev accuracy of k trials (Dodge et al. 2019), where trials were drawn at random.
    """

    kind: Literal["search"] = "search"
    schema_version: int = SCHEMA
    id: str
    command: str
    data: str
    data_hash: str
    model: str
    method: str
    sampler: str
    space: dict[str, str]
    seeds: list[int]
    rows: dict[str, int]
    trials: list[SearchTrial]
    chosen: int
    dev: Score
    test: Score
    majority: dict[str, float]
    near: list[int] = Field(default_factory=list)
    best_after: list[BestAfter] = Field(default_factory=list)
    verdict: str
    budget: str
    test_openings: int
    openings: list[Opening] = Field(default_factory=list)
    test_hash: str = ""
    alarms: list[Alarm] = Field(default_factory=list)
    advice: list[str] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    provenance: Provenance

    @model_validator(mode="after")
    def _chosen_is_a_trial(self) -> SearchRecord:
        if not 0 <= self.chosen < len(self.trials) or not self.winner.runs:
            raise ValueError(f"trial {self.chosen} is said to be chosen, and is none of {len(self.trials)} with runs")
        return self

    @property
    def winner(self) -> SearchTrial:
        """The chosen trial."""
        return self.trials[self.chosen]

"""What a card tells of: one run, its scores, and the command that it was part of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from welltuned import addresses
from welltuned.data.sources import MEMORY, hub_id
from welltuned.judging import RunJudgement
from welltuned.record import ComparisonRecord, RunRecord, SearchRecord, TableRow, TrainingRecord

TASK = "text-classification"
HERE = f'pipeline("{TASK}", ".")  # this folder'
"""How the card opens the model from within its own folder."""

Results = TrainingRecord | ComparisonRecord | SearchRecord


@dataclass(frozen=True)
class Subject:
    """What a card tells of.

    Attributes:
        config: of the saved model.
        results: what the command found that this run is part of; None before its test labels were opened.
        adapter: whether there is one beside the model.
    """

    record: RunRecord
    judged: RunJudgement
    config: Mapping[str, Any]
    results: Results | None
    adapter: bool

    @property
    def stock(self) -> bool:
        """Whether plain Transformers knows the model's class."""
        return bool(self.config["model_type"] != "welltuned")

    @property
    def base(self) -> str | None:
        """The Hub id of the pretrained model; None for one that only this machine has."""
        return addresses.hub_id(self.record.spec.model.name)

    @property
    def data(self) -> str:
        """What the data set is called."""
        source = self.record.spec.data.source.removeprefix("builtin:")
        if source.startswith(MEMORY):
            return "rows handed over in Python"
        return self.data_id or Path(source).expanduser().resolve().stem

    @property
    def pooling(self) -> str:
        """How the head reads the encoder, in words."""
        return {
            "mean": "a linear layer over the mean of all tokens",
            "first": "a linear layer over the first token",
            "native": "the architecture's own classification head",
        }[self.record.spec.model.head]

    @property
    def data_id(self) -> str | None:
        """The Hub id of the data set; None where it lies elsewhere."""
        return hub_id(self.record.spec.data.source)

    @property
    def row(self) -> TableRow | None:
        """The line that the run stands in, where it is part of a comparison."""
        if not isinstance(self.results, ComparisonRecord):
            return None
        return next(row for row in self.results.table if self.record.name in row.runs)

    @property
    def trials(self) -> int:
        """How many settings were tried to choose this one."""
        if isinstance(self.results, SearchRecord):
            return len(self.results.trials)
        return self.row.budget.trials if self.row and self.row.budget else 1

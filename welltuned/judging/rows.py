"""A configuration with its runs, and its line of the table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from welltuned import stats
from welltuned.baselines import Baseline
from welltuned.errors import WelltunedError
from welltuned.judging.answers import Answers, Ints, Terms, measures, score
from welltuned.record import Alarm, BestAfter, Budget, Cost, RunRecord, TableRow


@dataclass
class Entrant:
    """One line of the table: a configuration with its finished runs, and what broke the others off.

    ``budget`` is how it was tuned before, where it was.
    """

    name: str
    method: str
    model: str
    config: dict[str, Any]
    records: list[RunRecord] = field(default_factory=list)
    error: WelltunedError | None = None
    budget: Budget | None = None
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """What broke it off, in words."""
        return None if self.error is None else self.error.message


def cost(entrant: Entrant, kind: Cost) -> float:
    """What a configuration costs: trained parameters, or seconds where models differ."""
    return float(entrant.records[0].trained_parameters) if kind == "trained parameters" else seconds(entrant)


def seconds(entrant: Entrant) -> float:
    """Mean over seeds of training, evaluation on dev, and the encoding of train and dev where that is done once."""
    parts = ("features", "train", "dev")
    return float(np.mean([sum(record.timings.get(part, 0.0) for part in parts) for record in entrant.records]))


def method_row(entrant: Entrant, answers: dict[str, Answers], names: Sequence[str], terms: Terms) -> TableRow:
    """The line of a configuration whose runs are all finished."""
    first = entrant.records[0]
    train = first.spec.train
    return TableRow(
        **_described(entrant),
        kind="method",
        lr=train.lr,
        epochs=train.epochs,
        batch_size=train.batch_size,
        trained_parameters=first.trained_parameters,
        all_parameters=first.all_parameters,
        memory_bytes=max(record.memory.peak for record in entrant.records),
        seconds=seconds(entrant),
        budget=entrant.budget,
        dev=score(answers["dev"].correct, terms),
        test=score(answers["test"].correct, terms),
        measures=measures(answers["test"], names),
        alarms=once([*entrant.alarms, *(alarm for record in entrant.records for alarm in record.alarms)]),
    )


def failed_row(entrant: Entrant) -> TableRow:
    """The line of a configuration that was broken off."""
    return TableRow(**_described(entrant), kind="failed", failure=entrant.failure, alarms=once(entrant.alarms))


def _described(entrant: Entrant) -> dict[str, Any]:
    return {
        "name": entrant.name,
        "method": entrant.method,
        "model": entrant.model,
        "config": entrant.config,
        "seeds": [record.spec.train.seed for record in entrant.records],
        "runs": [record.name for record in entrant.records],
    }


def baseline_row(baseline: Baseline, dev: Ints, test: Ints, names: Sequence[str], terms: Terms) -> TableRow:
    """The line of a baseline, which knows no seeds."""
    on = {"dev": Answers(baseline.dev[None], dev), "test": Answers(baseline.test[None], test)}
    return TableRow(
        name=baseline.name,
        kind="baseline",
        trained_parameters=baseline.parameters,
        seconds=baseline.seconds,
        dev=score(on["dev"].correct, terms, deterministic=True),
        test=score(on["test"].correct, terms, deterministic=True),
        measures=measures(on["test"], names),
    )


def once(found: Sequence[Alarm]) -> list[Alarm]:
    """The first alarm of each kind."""
    return list({alarm.kind: alarm for alarm in reversed(found)}.values())[::-1]


def budget(dev_scores: Sequence[float], seconds: float) -> Budget:
    """How much a configuration was tuned, from the dev scores of its trials in any order and the seconds they took.

    Says the expected best dev score after 1, 2, ... trials (Dodge et al. 2019): more tuning shows as what it is.
    """
    found = [stats.expected_best(dev_scores, k) for k in range(1, len(dev_scores) + 1)]
    after = [BestAfter(trials=one.k, value=one.value, low=one.interval.lower, high=one.interval.upper) for one in found]
    return Budget(trials=len(dev_scores), seconds=seconds, scores=list(dev_scores), best_after=after)

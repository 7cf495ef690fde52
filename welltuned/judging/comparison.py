"""From the stored answers of all configurations and the opened labels to table, statements and verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from welltuned import alarms, stats
from welltuned.alarms import Failure, Panel, Standing
from welltuned.alarms.labels import suspects
from welltuned.baselines import Baseline
from welltuned.errors import DataError
from welltuned.judging.answers import Answers, Ints, Logits, Terms
from welltuned.judging.rows import Entrant, baseline_row, cost, failed_row, method_row
from welltuned.judging.statements import statements
from welltuned.opening import below
from welltuned.record import ANEW, Alarm, RunRecord, Statement, Suspect, TableRow, read_answers

ONE_SEED = " With one seed this is about these trained models, not yet about the methods."


@dataclass(frozen=True)
class Judgement:
    """What was judged; its fields stand in the record under the same names."""

    table: list[TableRow]
    statements: list[Statement]
    verdict: str
    winner: str | None
    smallest_visible: float | None
    alone: list[TableRow]
    suspects: list[Suspect]
    alarms: list[Alarm]


@dataclass(frozen=True)
class Baselines:
    """What stands beside the entrants.

    Attributes:
        standing: rows of every table: the majority class first, then TF-IDF with logistic regression.
        alone: what reads one text of two.
    """

    standing: Sequence[Baseline]
    alone: Sequence[Baseline] = ()

    def arrays(self) -> dict[str, Logits]:
        """All log-probabilities by ``NAME.SPLIT``."""
        return {
            f"{one.name}.{split}": getattr(one, split)
            for one in (*self.standing, *self.alone)
            for split in ("dev", "test")
        }


def judge(
    folder: Path, test: Ints, names: Sequence[str], entrants: Sequence[Entrant], baselines: Baselines, terms: Terms
) -> Judgement:
    """Judge what a comparison left in its folder.

    Args:
        folder: holds ``runs/NAME/predictions.safetensors`` of every record of the entrants.
        test: [M] the opened labels.
        names: of the classes.
        entrants: at least one that did not fail.
    """
    whole = [one for one in entrants if one.error is None]
    if not whole or not all(one.records for one in whole):
        raise DataError("no run came to its end", where=str(folder), why="there are no answers to judge", mend=ANEW)
    rows = {**whole[0].records[0].rows, "test": len(test)}
    stored = {one.name: [_predictions(folder, record, len(names), rows) for record in one.records] for one in whole}
    dev = stored[whole[0].name][0]["dev.labels"]
    answers = {
        name: {"dev": _stacked(arrays, "dev", dev), "test": _stacked(arrays, "test", test)}
        for name, arrays in stored.items()
    }
    table = []
    for one in entrants:
        one.alarms += _alarms(one, answers.get(one.name), baselines)
        table.append(method_row(one, answers[one.name], names, terms) if one.error is None else failed_row(one))
    table += [baseline_row(one, dev, test, names, terms) for one in baselines.standing]
    panel = Panel(
        {name: split["dev"].logits for name, split in answers.items()}, dev, baselines.standing[0].dev,
        {one.name: one.dev for one in baselines.alone},
    )  # fmt: skip
    contestants = [stats.Candidate(one.name, cost(one, terms.cost), answers[one.name]["test"].correct) for one in whole]
    majority = baselines.standing[0].test.argmax(axis=1) == test
    found = stats.verdict(contestants, majority=majority, level=terms.level)
    seeds = max(len(one.records) for one in whole)
    return Judgement(
        table=table,
        statements=statements(found.pairs, terms),
        verdict=found.sentence + (ONE_SEED if seeds == 1 else "") + _beside(found, baselines.standing[1:], test),
        winner=found.winner,
        smallest_visible=found.smallest_detectable if len(whole) > 1 else None,
        alone=[baseline_row(one, dev, test, names, terms) for one in baselines.alone],
        suspects=suspects(panel),
        alarms=alarms.raised(panel),
    )


def _beside(found: stats.Verdict, standing: Sequence[Baseline], test: Ints) -> str:
    """What the winner's score is worth where a baseline scores no less on the same rows."""
    if found.winner is None:
        return ""
    own = found.accuracy[found.winner].mean
    scores = {one.name: float((one.test.argmax(axis=1) == test).mean()) for one in standing}
    above = [f"{name} reaches {score:.1%}" for name, score in scores.items() if score >= own]
    beside = f" On the same rows {' and '.join(above)}, no less than {found.winner} with {own:.1%}."
    return f"{beside} That is a baseline, and costs seconds." if above else ""


def _alarms(entrant: Entrant, answers: dict[str, Answers] | None, baselines: Baselines) -> list[Alarm]:
    """Alarms about one entrant among the others; those of its runs come with their records."""
    if entrant.error is not None:
        return alarms.raised(Failure(entrant.error))
    if answers is None or len(baselines.standing) < 2:
        return []
    return alarms.raised(Standing(answers["dev"].logits, answers["dev"].labels, baselines.standing[1].dev))


def _predictions(folder: Path, record: RunRecord, classes: int, rows: Mapping[str, int]) -> dict[str, NDArray[Any]]:
    path = below(folder / "runs", record.name) / "predictions.safetensors"
    return read_answers(path, classes, rows, "dev.logits", "dev.labels", "test.logits")


def _stacked(stored: Sequence[dict[str, NDArray[Any]]], split: str, labels: Ints) -> Answers:
    return Answers(np.stack([arrays[f"{split}.logits"] for arrays in stored]), labels)

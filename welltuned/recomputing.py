"""Every figure of a report once more, from records and stored arrays alone; torch is never imported.

What rests on texts or on a clock (alarms of the data, seconds, memory) is taken from the records of the runs; all
else follows from logits and labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from welltuned import vault
from welltuned.baselines import Baseline
from welltuned.errors import DataError, WelltunedError
from welltuned.judging import Baselines, Entrant, Judgement, Terms, judge, judge_run
from welltuned.opening import below
from welltuned.record import (
    ANEW,
    Alarm,
    ComparisonRecord,
    RunRecord,
    TableRow,
    TrainingRecord,
    consistent,
    read_answers,
    read_comparison,
    read_record,
    read_run,
)

TOLERANCE = 1e-9
READ_AGAIN = ("origin", "text", "pair")
"""Of a suspect: texts, which stand in no array."""


@dataclass(frozen=True)
class Recomputed:
    """What came out, and where it differs from what is stored.

    Attributes:
        record: the stored record with every figure made anew.
        figures: how many figures were compared.
        differences: ``PLACE: stored ..., recomputed ...``; empty where all agree.
        opened_since: openings of the same test rows that the stored record does not know of.
    """

    record: ComparisonRecord | TrainingRecord
    figures: int
    differences: list[str]
    opened_since: int


def recompute(folder: Path) -> Recomputed:
    """Judge a finished comparison or run again from its folder.

    Raises:
        DataError: a record or an array is missing or damaged.
    """
    with consistent(folder):
        return _run(folder) if (folder / "record.json").is_file() else _comparison(folder)


def _comparison(folder: Path) -> Recomputed:
    stored = read_comparison(folder)
    labels = _labels(folder, stored.labels, stored.rows)
    entrants = [_entrant(folder, row) for row in stored.table if row.kind != "baseline"]
    terms = Terms(level=stored.level, margin=stored.margin, cost=stored.cost)
    judged = judge(folder, labels, stored.labels, entrants, _baselines(folder, stored), terms)
    anew = stored.model_copy(update=_filled(stored, judged, labels))
    return _compared(folder, stored, anew)


def _run(folder: Path) -> Recomputed:
    record, stored = read_run(folder), read_record(folder / "results.json", TrainingRecord)
    needed = ["dev.logits", "dev.labels", *([] if stored.test is None else ["test.logits"])]
    arrays = read_answers(folder / "predictions.safetensors", len(record.labels), record.rows, *needed)
    labels = None if stored.test is None else _labels(folder, record.labels, record.rows)
    return _compared(folder, stored, stored.model_copy(update=vars(judge_run(record, arrays, labels))))


def _labels(folder: Path, names: Sequence[str], rows: Mapping[str, int]) -> Any:
    """[M] the opened test labels."""
    return read_answers(folder / "labels.safetensors", len(names), rows, "test.labels")["test.labels"]


def _entrant(folder: Path, row: TableRow) -> Entrant:
    records: list[RunRecord] = [read_run(below(folder / "runs", name)) for name in row.runs]
    error = None if row.failure is None else WelltunedError(row.failure)
    kept: list[Alarm] = row.alarms if error else []
    return Entrant(row.name, row.method or "", row.model or "", row.config, records, error, row.budget, list(kept))


def _baselines(folder: Path, stored: ComparisonRecord) -> Baselines:
    arrays = read_answers(folder / "baselines.safetensors", len(stored.labels), stored.rows)

    def made(row: TableRow) -> Baseline:
        try:
            dev, test = arrays[f"{row.name}.dev"], arrays[f"{row.name}.test"]
        except KeyError as error:
            raise DataError(
                f"the answers of {row.name} are not stored", where=str(folder / "baselines.safetensors"), mend=ANEW
            ) from error
        return Baseline(row.name, dev, test, row.trained_parameters or 0, row.seconds or 0.0)

    standing = [made(row) for row in stored.table if row.kind == "baseline"]
    return Baselines(standing, [made(row) for row in stored.alone])


def _filled(stored: ComparisonRecord, judged: Judgement, labels: Any) -> dict[str, Any]:
    """What was judged, with what only texts can tell."""
    texts = {one.row: one.model_dump(include=set(READ_AGAIN)) for one in stored.suspects}
    made = {alarm.kind for alarm in judged.alarms}
    shares = np.bincount(labels, minlength=len(stored.labels)) / len(labels)
    return {
        **vars(judged),
        "suspects": [one.model_copy(update=texts.get(one.row, {})) for one in judged.suspects],
        "alarms": [*(alarm for alarm in stored.alarms if alarm.kind not in made), *judged.alarms],
        "rows": {**stored.rows, "test": len(labels)},
        "class_shares": {
            **stored.class_shares, "test": dict(zip(stored.labels, map(float, shares), strict=True))
        },
    }  # fmt: skip


def _compared(folder: Path, stored: Any, anew: Any) -> Recomputed:
    before, after = dict(_leaves(stored)), dict(_leaves(anew))
    differences = [
        f"{place}: stored {before.get(place)!r}, recomputed {after.get(place)!r}"
        for place in [*before, *(place for place in after if place not in before)]
        if not _equal(before.get(place), after.get(place))
    ]
    opened = len(vault.looks(folder, stored.test_hash)) if stored.test_hash else stored.test_openings
    figures = sum(isinstance(value, int | float) and not isinstance(value, bool) for value in after.values())
    return Recomputed(anew, figures, differences, max(0, opened - stored.test_openings))


def _leaves(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every single value of a record with its place, such as ``table.0.test.low``."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="python")
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(one, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list | tuple):
        for at, one in enumerate(value):
            yield from _leaves(one, f"{place}.{at}")
    else:
        yield place, value


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE) or (math.isnan(a) and math.isnan(b))
    return bool(a == b)

"""What a table of results is made of: its rows by kind, their names, runs, curves and levels of chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from welltuned.record import Alarm, ComparisonRecord, EpochRow, Memory, RunRecord, TableRow
from welltuned.spec import short_name

Runs = Mapping[str, RunRecord]
Curves = Mapping[str, Sequence[Sequence[EpochRow]]]
"""By name, one curve a seed."""


def of_kind(record: ComparisonRecord, kind: str) -> list[TableRow]:
    """The rows of one kind ("method", "baseline", "failed"), in the order of the table."""
    return [row for row in record.table if row.kind == kind]


def method_names(record: ComparisonRecord) -> list[str]:
    """What the method column says, row by row: the method, or the row's own name where that is no answer.

    A baseline has no method; two configurations of one method on one model are told apart by their names.
    """
    seen = Counter((row.method, row.model) for row in record.table)
    return [row.method if row.method and seen[row.method, row.model] == 1 else row.name for row in record.table]


def model_names(record: ComparisonRecord) -> list[str | None]:
    """The models, row by row, without their owners where that leaves them distinct."""
    short = {row.model: short_name(row.model) for row in record.table if row.model}
    shared = Counter(short.values())
    return [
        None if not row.model else short[row.model] if shared[short[row.model]] == 1 else row.model
        for row in record.table
    ]


def runs_of(row: TableRow, runs: Runs) -> list[RunRecord]:
    """Those runs of a row whose records are at hand and have a curve."""
    return [runs[name] for name in row.runs if name in runs and runs[name].curve]


def with_curves(record: ComparisonRecord, runs: Runs) -> list[tuple[TableRow, list[RunRecord]]]:
    """Rows that have at least one curve, each with its runs."""
    pairs = [(row, runs_of(row, runs)) for row in record.table]
    return [(row, found) for row, found in pairs if found]


def memories(record: ComparisonRecord, runs: Runs) -> dict[str, Memory]:
    """For each row that has runs, the memory of the run with the highest peak, by the row's name."""
    pairs = [(row.name, [runs[name].memory for name in row.runs if name in runs]) for row in record.table]
    return {name: max(found, key=lambda memory: memory.peak) for name, found in pairs if found}


def majority_accuracy(record: ComparisonRecord, split: str) -> float | None:
    """Accuracy on ``split`` of always answering the most frequent label of the training rows."""
    train = record.class_shares.get("train") or record.class_shares.get(split)
    if not train or split not in record.class_shares:
        return None
    return record.class_shares[split].get(max(train, key=lambda label: train[label]), 0.0)


def scored_split(rows: Sequence[TableRow]) -> str:
    """The split that a figure of these rows shows: "test" where every row has a test score, else "dev"."""
    return "test" if rows and all(row.test for row in rows) else "dev"


def alarms(record: ComparisonRecord, runs: Runs) -> list[tuple[str, Alarm]]:
    """Every alarm of the data, the rows and their runs with what it concerns, each once."""
    found = {(record.data, alarm.kind, alarm.what): alarm for alarm in record.alarms}
    for row in record.table:
        of_runs = [alarm for name in row.runs if name in runs for alarm in runs[name].alarms]
        for alarm in [*row.alarms, *of_runs]:
            found.setdefault((row.name, alarm.kind, alarm.what), alarm)
    return [(name, alarm) for (name, _, _), alarm in found.items()]


def training_seconds(record: RunRecord) -> float:
    """Seconds spent in the epochs of a run, their evaluations included."""
    return sum(row.seconds for row in record.curve)

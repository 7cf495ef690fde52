"""Methods x models x seeds -> a defended answer."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from welltuned import baselines, methods, stats, vault
from welltuned.baselines import Baseline
from welltuned.data.dataset import Dataset, Split
from welltuned.engine import resolve
from welltuned.errors import DataError, DivergedError, ResourceError, UsageError, WelltunedError
from welltuned.plan import Candidate
from welltuned.record import (
    Alarm,
    ComparisonRecord,
    RunRecord,
    Score,
    Statement,
    TableRow,
    read_arrays,
    read_comparison,
    write_arrays,
    write_json,
)
from welltuned.run import provenance, run
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.workbench import Workbench

Correct = NDArray[np.bool_]
LEVEL = 0.95


@dataclass(frozen=True)
class Comparison:
    """What to compare: every candidate on every model with every seed, on one data set."""

    data: DataSpec
    candidates: Sequence[Candidate]
    models: Sequence[ModelSpec]
    seeds: Sequence[int]
    compute: ComputeSpec = field(default_factory=ComputeSpec)

    def runs(self, candidate: Candidate, model: ModelSpec) -> list[RunSpec]:
        """One spec a seed."""
        return [candidate.run(self.data, model, seed, self.compute) for seed in self.seeds]

    @property
    def is_of_one_model(self) -> bool:
        """Whether all lines share one encoder, so that trained parameters can be compared as cost."""
        return len({model.name for model in self.models}) == 1

    def label(self, candidate: Candidate, model: ModelSpec) -> str:
        """What a line of the table is called: the candidate, and of model and head what is not the same for all."""
        names, heads = ({getattr(one, field) for one in self.models} for field in ("name", "head"))
        on = f" on {model.name}" if len(names) > 1 else ""
        return candidate.name + on + (f", {model.head} head" if len(heads) > 1 else "")

    @property
    def run_ids(self) -> list[str]:
        """The identities of all its runs."""
        return [spec.id for model in self.models for one in self.candidates for spec in self.runs(one, model)]

    @property
    def id(self) -> str:
        """Identity of the whole: of all its runs together."""
        return hashlib.sha256(" ".join(self.run_ids).encode()).hexdigest()[:12]


@dataclass
class _Entry:
    """A line of the table while it is being made: its finished runs, and what broke the others off."""

    name: str
    candidate: Candidate
    model: ModelSpec
    records: list[RunRecord] = field(default_factory=list)
    error: WelltunedError | None = None


def compare(plan: Comparison, folder: Path, bench: Workbench, command: str) -> ComparisonRecord:
    """Run everything that is not finished yet, then open the test labels once and judge.

    Args:
        folder: gets ``runs/``, ``results.json`` and the arrays beside it.
        command: what the user typed, for the record.

    Raises:
        WelltunedError: the data, a model or a method cannot be used. A run that diverges or does not fit the
            machine does not raise; it stands in the table as failed.
    """
    _require_distinct(plan)
    if (folder / "record.json").is_file():
        raise UsageError("this folder holds a single run", where=f"--out {folder}", mend="choose another --out folder")
    dataset = bench.dataset(plan.data)
    for model in plan.models:
        shape = bench.model(model).shape.with_head(model.head, len(dataset.labels))
        for candidate in plan.candidates:
            method = methods.build(candidate.method)
            method.ledger(shape)
            shape.require_positions(method.positions(), model.max_length)
    finished = _finished(plan, folder, dataset, _weights(plan, bench))
    if finished is not None:
        bench.observer.say("this comparison is finished; its results are read, nothing is trained again")
        return finished
    pairs = [(candidate, model) for model in plan.models for candidate in plan.candidates]
    standing = [_baseline(baselines.majority(dataset), bench), _baseline(baselines.tfidf(dataset), bench)]
    entries = _trained(plan, pairs, folder, bench)
    if not any(entry.records for entry in entries if entry.error is None):
        raise next(entry.error for entry in entries if entry.error is not None)
    labels = vault.open_test(dataset, folder, plan.id, "final comparison")
    write_arrays(folder / "labels.safetensors", {"test.labels": labels})
    write_arrays(
        folder / "baselines.safetensors",
        {f"{one.name}.{split}": getattr(one, split) for one in standing for split in ("dev", "test")},
    )
    record = _judge(plan, folder, bench, dataset, labels, entries, standing, command)
    write_json(folder / "results.json", record)
    return record


def _require_distinct(plan: Comparison) -> None:
    if len(set(plan.run_ids)) < len(plan.run_ids):
        raise UsageError(
            "two of the things to compare are the same",
            why="a method with its default written out, or a model named twice, is still the same run",
            mend="name each method and model once",
        )


def _finished(plan: Comparison, folder: Path, dataset: Dataset, weights: str) -> ComparisonRecord | None:
    try:
        record = read_comparison(folder)
    except DataError:
        return None
    same = (record.id, record.data_hash) == (plan.id, dataset.hash) and record.provenance.weights_hash == weights
    runs = [folder / "runs" / name / "record.json" for row in record.table for name in row.runs]
    whole = all(run.is_file() for run in runs) and not any(row.kind == "failed" for row in record.table)
    return record if same and whole else None


def _weights(plan: Comparison, bench: Workbench) -> str:
    """The hashes of all models' weights."""
    return " ".join(dict.fromkeys(bench.model(model).weights_hash for model in plan.models))


def _trained(
    plan: Comparison, pairs: Sequence[tuple[Candidate, ModelSpec]], folder: Path, bench: Workbench
) -> list[_Entry]:
    entries, started = [], time.perf_counter()
    for done, (candidate, model) in enumerate(pairs, start=1):
        entries.append(_train(plan, candidate, model, folder, bench))
        gone = time.perf_counter() - started
        bench.observer.part(done, len(pairs), gone / done * (len(pairs) - done))
    return entries


def _train(plan: Comparison, candidate: Candidate, model: ModelSpec, folder: Path, bench: Workbench) -> _Entry:
    name = plan.label(candidate, model)
    entry = _Entry(name, candidate, model)
    for spec in plan.runs(candidate, model):
        bench.observer.say(f"{name}, seed {spec.train.seed}: {spec.train.epochs} epochs at lr {spec.train.lr:g}")
        try:
            entry.records.append(run(spec, folder / "runs" / spec.name, bench))
        except (ResourceError, DivergedError) as error:
            if (error.where or "").startswith(str(folder)):  # the disk failed, not the method
                raise
            entry.error = error
            bench.observer.say(f"{name}: failed. {error}")
            break
    return entry


def _baseline(baseline: Baseline, bench: Workbench) -> Baseline:
    bench.observer.say(f"{baseline.name}: {baseline.seconds:.1f} s")
    return baseline


def _judge(
    plan: Comparison,
    folder: Path,
    bench: Workbench,
    dataset: Dataset,
    labels: NDArray[np.int64],
    entries: list[_Entry],
    standing: list[Baseline],
    command: str,
) -> ComparisonRecord:
    dev = dataset.dev.label
    assert dev is not None
    whole = [entry for entry in entries if entry.error is None]
    tested = {entry.name: _correct(folder, entry, "test", labels) for entry in whole}
    table = [
        _row(entry, _correct(folder, entry, "dev", dev), tested[entry.name]) if entry in whole else _failed(entry)
        for entry in entries
    ]
    table += [_baseline_row(one, dev, labels) for one in standing]
    majority = standing[0].test.argmax(axis=1) == labels
    verdict = _verdict(plan, whole, tested, majority)
    return ComparisonRecord(
        id=plan.id,
        winner=verdict.winner,
        command=command,
        data=dataset.name,
        data_hash=dataset.hash,
        labels=list(dataset.labels),
        rows={"train": len(dataset.train), "dev": len(dataset.dev), "test": len(dataset.test)},
        class_shares={
            "train": _shares(dataset.train, dataset.labels),
            "dev": _shares(dataset.dev, dataset.labels),
            "test": _shares(Split((), None, labels, ()), dataset.labels),
        },
        table=table,
        statements=[_statement(pair) for pair in verdict.pairs],
        verdict=_sentence(plan, verdict),
        budget=_budget(plan),
        test_openings=vault.selections_seen(folder, dataset.hash),
        notes=_notes(dataset, entries),
        provenance=provenance(resolve(plan.compute), dataset, _weights(plan, bench)),
    )


def _correct(folder: Path, entry: _Entry, split: str, labels: NDArray[np.int64]) -> Correct:
    """[S, N] whether each seed's run has each row right, from the stored logits."""
    stored = [read_arrays(folder / "runs" / record.name / "predictions.safetensors") for record in entry.records]
    return np.stack([arrays[f"{split}.logits"].argmax(axis=1) == labels for arrays in stored])


def _verdict(plan: Comparison, entries: list[_Entry], correct: dict[str, Correct], majority: Correct) -> stats.Verdict:
    """Judge by trained parameters as cost within one model, by seconds across models."""
    contestants = [
        stats.Candidate(
            entry.name,
            float(entry.records[0].trained_parameters) if plan.is_of_one_model else _seconds(entry),
            correct[entry.name],
        )
        for entry in entries
    ]
    return stats.verdict(contestants, majority=majority, level=LEVEL)


def _sentence(plan: Comparison, verdict: stats.Verdict) -> str:
    """The verdict, and for a single seed what it is a verdict about."""
    if len(plan.seeds) > 1:
        return verdict.sentence
    return f"{verdict.sentence} With one seed this is about these trained models, not yet about the methods."


def _seconds(entry: _Entry) -> float:
    """Mean over seeds of training, evaluation on dev, and the encoding of train and dev where that is done once."""
    parts = ("features", "train", "dev")
    return float(np.mean([sum(record.timings.get(part, 0.0) for part in parts) for record in entry.records]))


def _score(correct: Correct, *, deterministic: bool = False) -> Score:
    summary = stats.accuracy_summary(correct, LEVEL, deterministic=deterministic)
    return Score(accuracy=summary.mean, low=summary.interval.lower, high=summary.interval.upper, level=LEVEL)


def _row(entry: _Entry, dev: Correct, test: Correct) -> TableRow:
    first, train = entry.records[0], entry.candidate.train
    return TableRow(
        **_described(entry),
        kind="method",
        lr=train.lr,
        epochs=train.epochs,
        batch_size=train.batch_size,
        seeds=[record.spec.train.seed for record in entry.records],
        runs=[record.name for record in entry.records],
        trained_parameters=first.trained_parameters,
        all_parameters=first.all_parameters,
        memory_bytes=max(record.memory.peak for record in entry.records),
        seconds=_seconds(entry),
        dev=_score(dev),
        test=_score(test),
        alarms=_once([alarm for record in entry.records for alarm in record.alarms]),
    )


def _described(entry: _Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "method": entry.candidate.name,
        "model": entry.model.name,
        "config": entry.candidate.method.config,
    }


def _failed(entry: _Entry) -> TableRow:
    return TableRow(
        **_described(entry),
        kind="failed",
        failure=str(entry.error),
        seeds=[record.spec.train.seed for record in entry.records],
        runs=[record.name for record in entry.records],
    )


def _baseline_row(baseline: Baseline, dev: NDArray[np.int64], test: NDArray[np.int64]) -> TableRow:
    right = [(baseline.dev.argmax(axis=1) == dev)[None], (baseline.test.argmax(axis=1) == test)[None]]
    return TableRow(
        name=baseline.name,
        kind="baseline",
        trained_parameters=baseline.parameters,
        seconds=baseline.seconds,
        dev=_score(right[0], deterministic=True),
        test=_score(right[1], deterministic=True),
    )


def _once(alarms: list[Alarm]) -> list[Alarm]:
    """The first alarm of each kind."""
    return list({alarm.kind: alarm for alarm in reversed(alarms)}.values())[::-1]


def _shares(split: Split, names: tuple[str, ...]) -> dict[str, float]:
    assert split.label is not None
    counts = np.bincount(split.label, minlength=len(names))
    return {name: float(count / counts.sum()) for name, count in zip(names, counts, strict=True)}


def _statement(pair: stats.Contrast) -> Statement:
    first = pair.better or pair.a
    difference, interval = pair.seen_from(first)
    said = f"{100 * difference:+.1f} points [{100 * interval.lower:+.2f}, {100 * interval.upper:+.2f}]"
    loser = pair.b if first == pair.a else pair.a
    return Statement(
        a=pair.a,
        b=pair.b,
        difference=pair.difference,
        low=pair.interval.lower,
        high=pair.interval.upper,
        p=pair.result.p,
        p_holm=pair.p_adjusted,
        scope=pair.result.scope,
        sentence=f"{pair.better} beats {loser}: {said}" if pair.better else f"no difference found: {said}",
        level=LEVEL,
        significant=pair.significant,
    )


def _budget(plan: Comparison) -> str:
    epochs = ", ".join(f"{one.name} {one.train.epochs}" for one in plan.candidates)
    seeds = f"{len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''}"
    cost = "trained parameters" if plan.is_of_one_model else "seconds"
    return f"one setting each, {seeds}; epochs: {epochs}; the best epoch on dev is kept; cheap means few {cost}"


def _notes(dataset: Dataset, entries: list[_Entry]) -> list[str]:
    """What was said of the data, and how much of it each model does not get to read."""
    notes = list(dataset.notes)
    for model in dict.fromkeys(entry.model.name for entry in entries):
        record = next((r for e in entries if e.model.name == model for r in e.records), None)
        if record is None:
            continue
        cut = ", ".join(f"{value.share:.1%} of {name}" for name, value in record.truncation.items())
        notes.append(f"rows that lose tokens at {record.spec.model.max_length} with {model}: {cut}")
    return notes

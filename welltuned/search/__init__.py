"""A space of hyperparameters -> trials -> the one chosen on dev, and then, once, its test score.

Nothing but dev scores reaches the choice: trials do not even answer the test rows. Seeds are replicates; a trial is
scored by its mean over them.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from welltuned import alarms, baselines, judging, stats, vault
from welltuned.alarms import Rows
from welltuned.engine import resolve
from welltuned.errors import DataError, DivergedError, ResourceError, UsageError, WelltunedError
from welltuned.methods._base import Choice, Range
from welltuned.plan import Candidate, candidate
from welltuned.record import (
    Budget,
    RunRecord,
    Score,
    SearchRecord,
    SearchTrial,
    read_arrays,
    read_record,
    results_kind,
    write_arrays,
    write_json,
)
from welltuned.run import complete, forget_state, provenance, trial
from welltuned.search.advice import edges, verdict
from welltuned.search.proposals import Proposals, Values, proposals
from welltuned.search.space import Space, space, told
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.workbench import Workbench

__all__ = ["Search", "search", "space"]

LEVEL = 0.95


@dataclass(frozen=True)
class Search:
    """What to search: one method on one model, over a space of its fields and of training options.

    Attributes:
        expression: ``NAME[:FIELD=VALUE]...``, what all trials have in common.
        options: training options that hold for all trials.
        space: what varies.
        sampler: "grid", "random" or "tpe"; None for a grid where the space allows it.
        trials: how many at most; None for all of a grid.
        sampler_seed: of the sampler.
        seeds: each trial is trained once with each.
    """

    data: DataSpec
    model: ModelSpec
    expression: str
    options: Mapping[str, Any]
    space: Space
    sampler: str | None = None
    trials: int | None = None
    sampler_seed: int = 0
    seeds: Sequence[int] = (0,)
    compute: ComputeSpec = field(default_factory=ComputeSpec)

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate with these values."""
        return candidate(":".join([self.expression, *(f"{name}={value}" for name, value in values.items())]),
                         self.options)  # fmt: skip

    def runs(self, values: Mapping[str, Any]) -> list[RunSpec]:
        """One spec a seed."""
        one = self.candidate(values)
        return [one.run(self.data, self.model, seed, self.compute) for seed in self.seeds]

    @property
    def id(self) -> str:
        """Identity of the whole."""
        common = [spec.id for spec in self.runs({})]
        varied = {name: told(part) for name, part in self.space.items()}
        words = json.dumps([common, varied, self.sampler, self.trials, self.sampler_seed])
        return hashlib.sha256(words.encode()).hexdigest()[:12]


def search(plan: Search, folder: Path, bench: Workbench, command: str) -> SearchRecord:
    """Try, choose on dev, then open the test labels once for the chosen trial.

    A trial that diverges or does not fit stands in the table as failed.

    Args:
        folder: gets ``trials/``, ``results.json`` and ``labels.safetensors``.
        command: what the user typed, for the record.

    Raises:
        WelltunedError: the space, data or model cannot be used, or no trial came to its end.
    """
    _require_valid(plan)
    if (folder / "record.json").is_file() or (folder / "runs").is_dir():
        raise UsageError("this folder holds other results", where=f"--out {folder}", mend="choose another --out folder")
    sampler, proposed = proposals(plan.space, plan.sampler, plan.trials, plan.sampler_seed)
    dataset = bench.dataset(plan.data)
    finished = _finished(plan, folder, dataset.hash, bench.model(plan.model).weights_hash)
    if finished is not None:
        bench.observer.say("this search is finished; its results are read, nothing is trained again")
        return finished
    leaks = alarms.raised(Rows(dataset))
    bench.observer.say(f"searching {', '.join(f'{name}: {told(part)}' for name, part in plan.space.items())}")
    trials = _Trials(plan, folder, bench)
    trials.work(proposed)
    chosen = trials.best
    records = [complete(spec, trials.folder(spec), bench) for spec in plan.runs(trials.asked[chosen.number])]
    for record in records:
        forget_state(folder / "trials" / record.name)
    selection = hashlib.sha256(" ".join(record.id for record in records).encode()).hexdigest()[:12]
    labels = vault.open_test(dataset, folder, selection, f"search: score of trial {chosen.number + 1}")
    write_arrays(folder / "labels.safetensors", {"test.labels": labels})
    seen = vault.looks(folder, vault.identity(dataset.test))
    dev = dataset.dev.label
    assert dev is not None
    most = baselines.majority(dataset)
    result = SearchRecord(
        id=plan.id,
        command=command,
        data=dataset.name,
        data_hash=dataset.hash,
        model=plan.model.name,
        method=plan.expression,
        sampler=sampler,
        space={name: told(part) for name, part in plan.space.items()},
        seeds=list(plan.seeds),
        rows={"train": len(dataset.train), "dev": len(dataset.dev), "test": len(dataset.test)},
        trials=trials.done,
        chosen=chosen.number,
        dev=_score(folder, records, "dev", dev),
        test=_score(folder, records, "test", labels),
        majority={
            "dev": float((most.dev.argmax(axis=1) == dev).mean()),
            "test": float((most.test.argmax(axis=1) == labels).mean()),
        },
        near=_near(trials.done, chosen, len(dev)),
        best_after=trials.budget.best_after if sampler == "random" else [],
        verdict="",
        budget=f"{len(trials.done)} trials, {len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''} each",
        test_openings=len(seen),
        openings=seen,
        test_hash=vault.identity(dataset.test),
        alarms=[*leaks, *chosen.alarms],
        advice=edges(plan.space, chosen, trials.done),
        notes=list(dataset.notes),
        provenance=provenance(resolve(plan.compute), dataset, bench.model(plan.model).weights_hash),
    )
    result.verdict = verdict(result)
    write_json(folder / "results.json", result)
    return result


def _finished(plan: Search, folder: Path, data_hash: str, weights_hash: str) -> SearchRecord | None:
    if results_kind(folder) != "search":
        return None
    try:
        found = read_record(folder / "results.json", SearchRecord)
    except DataError:
        return None
    same = (found.id, found.data_hash, found.provenance.weights_hash) == (plan.id, data_hash, weights_hash)
    whole = all((folder / "trials" / name / "record.json").is_file() for one in found.trials for name in one.runs)
    return found if same and whole else None


def _require_valid(plan: Search) -> None:
    """Every value of the space makes a candidate, and no two of a list make the same."""
    if not plan.space:
        raise UsageError("there is nothing to vary", where="--grid", mend="write --grid lr=1e-4,5e-4,1e-3")
    for name, part in plan.space.items():
        values = part.values if isinstance(part, Choice) else (_end(part, part.low), _end(part, part.high))
        made = [plan.runs({name: value})[0].id for value in values]
        if len(set(made)) < len(made):
            raise UsageError(f"two values of {name} are the same", where="--grid", mend="name each value once")


def _end(part: Range, value: float) -> float:
    return int(value) if part.whole else value


class _Trials:
    """The trials of a search as they are done; only the best so far keeps its trained tensors."""

    def __init__(self, plan: Search, folder: Path, bench: Workbench) -> None:
        self._plan, self._folder, self._bench = plan, folder, bench
        self.done: list[SearchTrial] = []
        self.asked: list[Values] = []
        self._error: WelltunedError | None = None

    def folder(self, spec: RunSpec) -> Path:
        return self._folder / "trials" / spec.name

    @property
    def best(self) -> SearchTrial:
        """The highest mean dev accuracy; of equals the lower dev loss, then the earlier.

        Raises:
            WelltunedError: no trial came to its end; the last failure is told.
        """
        whole = [one for one in self.done if one.dev is not None]
        if not whole:
            assert self._error is not None
            raise self._error
        return max(whole, key=lambda one: (one.dev, -(one.dev_loss or math.inf), -one.number))

    @property
    def budget(self) -> Budget:
        """What the finished trials took, and what fewer of them would have found."""
        whole = [one for one in self.done if one.dev is not None]
        return judging.budget([one.dev or 0.0 for one in whole], sum(one.seconds for one in whole))

    def work(self, proposed: Proposals) -> None:
        """Do what is proposed until nothing is left."""
        started, total = time.perf_counter(), proposed.total
        while (values := proposed.ask()) is not None:
            self.asked.append(values)
            self.done.append(self._trial(len(self.done), values))
            proposed.tell(self.done[-1].dev)
            self._forget_beaten()
            gone = time.perf_counter() - started
            self._bench.observer.part(len(self.done), total, gone / len(self.done) * (total - len(self.done)))

    def _trial(self, number: int, values: Values) -> SearchTrial:
        one, specs = self._plan.candidate(values), self._plan.runs(values)
        resolved = {**one.method.config, **one.train.model_dump()}
        shown = {name: resolved[name] for name in values}
        self._bench.observer.say(f"trial {number + 1}: {', '.join(f'{name}={value}' for name, value in shown.items())}")
        result = SearchTrial(number=number, values=shown, runs=[spec.name for spec in specs])
        records: list[RunRecord] = []
        try:
            records = [trial(spec, self.folder(spec), self._bench) for spec in specs]
        except (ResourceError, DivergedError) as error:
            if (error.where or "").startswith(str(self._folder)):  # the disk failed, not the trial
                raise
            self._error, result.failure = error, error.what
            self._bench.observer.say(f"trial {number + 1} failed: {error.what}")
            return result
        best = [record.curve[record.best_epoch - 1] for record in records]
        result.dev_by_seed = [row.dev_accuracy for row in best]
        result.dev = float(np.mean(result.dev_by_seed))
        result.dev_loss = float(np.mean([row.dev_loss for row in best]))
        result.best_epochs = [row.epoch for row in best]
        result.seconds = sum(record.timings["train"] + record.timings["dev"] for record in records)
        result.alarms = list({alarm.kind: alarm for record in records for alarm in record.alarms}.values())
        return result

    def _forget_beaten(self) -> None:
        if not any(one.dev is not None for one in self.done):
            return
        kept = self.best.number
        for one in self.done:
            for name in one.runs if one.number != kept else []:
                forget_state(self._folder / "trials" / name)


def _score(folder: Path, records: Sequence[RunRecord], split: str, labels: np.typing.NDArray[np.int64]) -> Score:
    stored = [read_arrays(folder / "trials" / record.name / "predictions.safetensors") for record in records]
    correct = np.stack([arrays[f"{split}.logits"].argmax(axis=1) == labels for arrays in stored])
    summary = stats.accuracy_summary(correct, LEVEL)
    return Score(accuracy=summary.mean, low=summary.interval.lower, high=summary.interval.upper, level=LEVEL)


def _near(trials: Sequence[SearchTrial], chosen: SearchTrial, rows: int) -> list[int]:
    """Other trials within one standard error, sqrt(p (1 - p) / n), of the chosen one's dev accuracy."""
    best = chosen.dev or 0.0
    error = math.sqrt(best * (1 - best) / rows)
    others = (one for one in trials if one.number != chosen.number and one.dev is not None)
    return [one.number for one in others if best - (one.dev or 0.0) <= error]

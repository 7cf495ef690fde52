"""Methods x models x seeds -> a defended answer."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from welltuned import alarms, baselines, card, methods, stats, vault
from welltuned.alarms import Rows
from welltuned.checkpoints import forget_checkpoints
from welltuned.data.dataset import Dataset, Split
from welltuned.engine import resolve
from welltuned.errors import DataError, DivergedError, ResourceError, UsageError
from welltuned.gathering import train_together
from welltuned.judging import MARGIN, Baselines, Entrant, Judgement, Terms, judge
from welltuned.plan import Candidate
from welltuned.provenance import provenance
from welltuned.record import Alarm, Budget, ComparisonRecord, Suspect, read_comparison, write_arrays, write_json
from welltuned.run import complete
from welltuned.search import Search, Trials, space
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec, TrainSpec, short_name
from welltuned.subject import MODEL, finished_run
from welltuned.workbench import Workbench


@dataclass(frozen=True)
class Tuning:
    """The budget that each line gets for its hyperparameters before it is compared: the same for all.

    Attributes:
        grids, ranges: what varies, in the words of ``--grid`` and ``--range``; a method's own space where both are
            empty. Fields that a method does not have are left out for it.
        sampler: as in a search; "random" where trials or seconds are given, so that fewer trials can be judged too.
        trials, seconds: at most so many trials, or seconds of training.
        pruner: as in a search.
    """

    grids: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    sampler: str | None = None
    trials: int | None = None
    seconds: float | None = None
    pruner: str | None = None

    def search(self, candidate: Candidate, model: ModelSpec, plan: Comparison) -> Search:
        """The search of one line, on the first seed."""
        kind = methods.find(candidate.method.name)
        known = TrainSpec.model_fields.keys() | kind.Config.model_fields.keys()
        whole = space(candidate.method.name, self.grids, self.ranges)
        drawn = self.trials is not None or self.seconds is not None or bool(self.ranges)
        return Search(
            data=plan.data,
            model=model,
            base=candidate,
            space={name: part for name, part in whole.items() if name in known},
            sampler=self.sampler or ("random" if drawn else None),
            trials=self.trials,
            seconds=self.seconds,
            seeds=plan.seeds[:1],
            compute=plan.compute,
            pruner=self.pruner,
        )

    @property
    def words(self) -> str:
        """The budget in words."""
        bounds = [f"{self.trials} trials"] if self.trials is not None else []
        bounds += [f"{self.seconds:g} seconds of training"] if self.seconds is not None else []
        rule = f", those behind given up ({self.pruner})" if self.pruner else ""
        return f"each tuned on dev within {' and '.join(bounds) or 'the same lists'}, on the first seed{rule}"


@dataclass(frozen=True)
class Comparison:
    """What to compare: every candidate on every model with every seed, on one data set; tuned before, if asked."""

    data: DataSpec
    candidates: Sequence[Candidate]
    models: Sequence[ModelSpec]
    seeds: Sequence[int]
    compute: ComputeSpec = field(default_factory=ComputeSpec)
    margin: float = MARGIN
    tuning: Tuning | None = None

    @property
    def terms(self) -> Terms:
        """By what is judged: cheap means few trained parameters within one model, few seconds across models."""
        one_model = len({model.name for model in self.models}) == 1
        return Terms(margin=self.margin, cost="trained parameters" if one_model else "seconds")

    def label(self, candidate: Candidate, model: ModelSpec) -> str:
        """What a line of the table is called: the candidate, and of model and head what is not the same for all."""
        names, heads = ({getattr(one, field) for one in self.models} for field in ("name", "head"))
        short = {short_name(name) for name in names}
        on = f" on {short_name(model.name) if len(short) == len(names) else model.name}" if len(names) > 1 else ""
        return candidate.name + on + (f", {model.head} head" if len(heads) > 1 else "")

    def runs(self, candidate: Candidate, model: ModelSpec) -> list[RunSpec]:
        """One spec a seed."""
        return [candidate.run(self.data, model, seed, self.compute) for seed in self.seeds]

    @property
    def run_ids(self) -> list[str]:
        """The identities of all its runs."""
        return [spec.id for model in self.models for one in self.candidates for spec in self.runs(one, model)]

    @property
    def id(self) -> str:
        """Identity of the whole: of all its runs together."""
        words = [*self.run_ids, *([repr(self.tuning)] if self.tuning else [])]
        return hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


def compare(plan: Comparison, folder: Path, bench: Workbench, command: str) -> ComparisonRecord:
    """Run everything that is not finished yet, then open the test labels once and judge.

    Args:
        folder: gets ``runs/``, ``results.json`` and the arrays beside it.
        command: what the user typed, for the record.

    Raises:
        WelltunedError: the data, a model or a method cannot be used. A run that diverges or does not fit the
            machine does not raise; it stands in the table as failed.
    """
    with bench.alone(folder):
        return _compared(plan, folder, bench, command)


def _compared(plan: Comparison, folder: Path, bench: Workbench, command: str) -> ComparisonRecord:
    _require_whole(plan)
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
            if plan.tuning is not None:
                plan.tuning.search(candidate, model, plan).proposals()
    finished = _finished(plan, folder, dataset, _weights(plan, bench))
    if finished is not None:
        bench.observer.say("this comparison is finished; its results are read, nothing is trained again")
        return finished
    pairs = [(candidate, model) for model in plan.models for candidate in plan.candidates]
    bench.require_room(_undone(plan, pairs, folder, dataset, bench), folder)
    planned = _foretold(plan, dataset, bench)
    leaks = bench.tell(alarms.raised(Rows(dataset)))
    beside = Baselines([baselines.majority(dataset), baselines.tfidf(dataset)], baselines.one_text_each(dataset))
    for one in beside.standing:
        bench.observer.say(f"{one.name}: {one.seconds:.1f} s")
    entries = _trained(plan, pairs, folder, bench)
    if not any(entry.records for entry in entries if entry.error is None):
        raise next(entry.error for entry in entries if entry.error is not None)
    labels = vault.open_test(dataset, folder, plan.id, "final comparison")
    write_arrays(folder / "labels.safetensors", {"test.labels": labels})
    write_arrays(folder / "baselines.safetensors", beside.arrays())
    judged = judge(folder, labels, dataset.labels, entries, beside, plan.terms)
    record = _record(plan, folder, bench, dataset, labels, entries, judged, planned, leaks, command)
    card.write_all(folder, record)
    write_json(folder / "results.json", record)
    return record


def _require_whole(plan: Comparison) -> None:
    """Refuse a plan with nothing to compare, or with a number out of its range."""
    tuning = plan.tuning or Tuning()
    faults = [
        (not plan.models, "--models", "no model is named", "every method is trained on a model", "name one: minilm"),
        (not plan.seeds, "--seeds", "no seed is named", "every method is trained with a seed", "name one: 0"),
        (any(seed < 0 for seed in plan.seeds), "--seeds", "a seed is below 0", "a generator begins with a whole "
         "number from 0 on", "name others, such as 0, 1, 2"),
        (len(set(plan.seeds)) < len(plan.seeds), "--seeds", "a seed is named twice", "equal seeds make equal runs",
         "name each once"),
        (not 0 < plan.margin <= 0.5, "--margin", f"{plan.margin:g} is no difference of accuracy", "it is a share above "
         "0 and at most 0.5: 0.01 is one point", "leave it out, or give such a share"),
        (tuning.trials is not None and tuning.trials < 1, "--trials", "a search takes at least one trial",
         "without one there is nothing to choose", "give 1 or more, or leave it out"),
        (tuning.seconds is not None and not tuning.seconds >= 0, "--max-seconds", f"{tuning.seconds} is no time",
         "it counts the seconds of training, from 0 on", "give 0 or more, or leave it out"),
    ]  # fmt: skip
    for wrong, where, what, why, mend in faults:
        if wrong:
            raise UsageError(what, where=where, why=why, mend=mend)


def _require_distinct(plan: Comparison) -> None:
    if len(set(plan.run_ids)) < len(plan.run_ids):
        raise UsageError(
            "two of the things to compare are the same",
            where="--methods, --models",
            why="a method with its default written out, or a model named twice, is still the same run",
            mend="name each method and model once",
        )


def _finished(plan: Comparison, folder: Path, dataset: Dataset, weights: str) -> ComparisonRecord | None:
    try:
        record = read_comparison(folder)
    except DataError:
        return None
    same = (record.id, record.data_hash, record.margin) == (
        plan.id,
        dataset.hash,
        plan.margin,
    ) and record.provenance.weights_hash == weights
    runs = [folder / "runs" / name / "record.json" for row in record.table for name in row.runs]
    whole = all(run.is_file() for run in runs) and not any(row.kind == "failed" for row in record.table)
    return record if same and whole else None


def _undone(
    plan: Comparison, pairs: Sequence[tuple[Candidate, ModelSpec]], folder: Path, dataset: Dataset, bench: Workbench
) -> list[RunSpec]:
    """The runs that are not there yet; where lines are tuned first, their untuned runs stand for them."""

    def done(spec: RunSpec) -> bool:
        weights = bench.model(spec.model).weights_hash
        return finished_run(spec, folder / "runs" / spec.name, dataset.hash, weights, MODEL) is not None

    specs = (spec for candidate, model in pairs for spec in plan.runs(candidate, model))
    return [spec for spec in specs if not done(spec)]


def _weights(plan: Comparison, bench: Workbench) -> str:
    """The hashes of all models' weights."""
    return " ".join(dict.fromkeys(bench.model(model).weights_hash for model in plan.models))


def _trained(
    plan: Comparison, pairs: Sequence[tuple[Candidate, ModelSpec]], folder: Path, bench: Workbench
) -> list[Entrant]:
    entries, started = [], time.perf_counter()
    if plan.tuning is None:
        specs = [spec for candidate, model in pairs for spec in plan.runs(candidate, model)]
        train_together(specs, folder / "runs", bench)
    for done, (candidate, model) in enumerate(pairs, start=1):
        entries.append(_train(plan, candidate, model, folder, bench))
        gone = time.perf_counter() - started
        bench.observer.part(done, len(pairs), gone / done * (len(pairs) - done))
    forget_checkpoints(folder / "runs")
    return entries


def _train(plan: Comparison, candidate: Candidate, model: ModelSpec, folder: Path, bench: Workbench) -> Entrant:
    name = plan.label(candidate, model)
    entry = Entrant(name, candidate.name, model.name, candidate.method.config)
    try:
        if plan.tuning is not None:
            bench.observer.say(f"{name}: tuning")
            candidate, entry.budget = _tuned(plan.tuning.search(candidate, model, plan), folder, bench)
            entry.config = candidate.method.config
        for spec in plan.runs(candidate, model):
            bench.observer.say(f"{name}, seed {spec.train.seed}: {spec.train.epochs} epochs at lr {spec.train.lr:g}")
            entry.records.append(complete(spec, folder / "runs" / spec.name, bench))
    except (ResourceError, DivergedError) as error:
        if (error.where or "").startswith(str(folder)):  # the disk failed, not the method
            raise
        entry.error = error
        bench.observer.say(f"{name}: failed. {error}")
    return entry


def _tuned(search: Search, folder: Path, bench: Workbench) -> tuple[Candidate, Budget]:
    """The candidate as dev chose it, and what the choice took."""
    trials = Trials(search, folder / "runs", bench)
    trials.work(search.proposals()[1])
    return search.candidate(trials.asked[trials.best.number]), trials.budget


def _foretold(plan: Comparison, dataset: Dataset, bench: Workbench) -> float | None:
    """Say how small a difference this comparison can see, before anything is trained."""
    entrants = len(plan.candidates) * len(plan.models)
    if entrants < 2:
        return None
    design = stats.Design(len(dataset.test), len(plan.seeds), comparisons=math.comb(entrants, 2))
    smallest = design.smallest()
    seeds = f"{len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''}"
    pairs = f"{design.comparisons} pair{'s' if design.comparisons > 1 else ''}"
    what = "no difference can be seen reliably"
    if smallest is not None:
        what = f"a difference under {100 * smallest:.1f} points is likely to be missed"
    bench.observer.say(
        f"{design.n:,} test rows, {seeds}, {pairs}: {what} (power 80%; taken: accuracy {design.base_accuracy:.0%}, "
        f"methods that disagree on {design.disagreement:.0%} of rows, seeds that vary by {100 * design.seed_sd:g} point"
        "). Other values: welltuned power"
    )
    return smallest


def _record(
    plan: Comparison,
    folder: Path,
    bench: Workbench,
    dataset: Dataset,
    labels: NDArray[np.int64],
    entries: list[Entrant],
    judged: Judgement,
    planned: float | None,
    leaks: list[Alarm],
    command: str,
) -> ComparisonRecord:
    seen = vault.looks(folder, vault.identity(dataset.test))
    parts = {
        **vars(judged),
        "alarms": [*leaks, *judged.alarms],
        "suspects": [_told(one, dataset.dev) for one in judged.suspects],
    }
    return ComparisonRecord(
        id=plan.id,
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
        **parts,
        **vars(plan.terms),
        smallest_planned=planned,
        budget=_budget(plan),
        test_openings=len(seen),
        openings=seen,
        test_hash=vault.identity(dataset.test),
        notes=_notes(dataset, entries),
        provenance=provenance(resolve(plan.compute), dataset, _weights(plan, bench)),
    )


def _told(one: Suspect, dev: Split) -> Suspect:
    """A suspect with its texts and place, for reading."""
    pair = None if dev.pair is None else dev.pair[one.row]
    return one.model_copy(update={"origin": dev.origin[one.row], "text": dev.text[one.row], "pair": pair})


def _shares(split: Split, names: tuple[str, ...]) -> dict[str, float]:
    assert split.label is not None
    counts = np.bincount(split.label, minlength=len(names))
    return {name: float(count / counts.sum()) for name, count in zip(names, counts, strict=True)}


def _budget(plan: Comparison) -> str:
    epochs = ", ".join(f"{one.name} {one.train.epochs}" for one in plan.candidates)
    seeds = f"{len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''}"
    setting = f"{plan.tuning.words}, then {seeds}" if plan.tuning else f"one setting each, {seeds}; epochs: {epochs}"
    return f"{setting}; the best epoch on dev is kept; cheap means few {plan.terms.cost}"


def _notes(dataset: Dataset, entries: list[Entrant]) -> list[str]:
    """What was said of the data, and how much of it each model does not get to read."""
    notes = list(dataset.notes)
    for model in dict.fromkeys(entry.model for entry in entries):
        record = next((r for e in entries if e.model == model for r in e.records), None)
        if record is None:
            continue
        cut = ", ".join(f"{value.share:.1%} of {name}" for name, value in record.truncation.items())
        notes.append(f"rows that lose tokens at {record.spec.model.max_length} with {model}: {cut}")
    return notes

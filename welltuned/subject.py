"""What one run is made of: data, encoder with its method, rows; and what is done with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from welltuned import alarms, artifact, card, methods, progress
from welltuned.answering import Logits, predict
from welltuned.batches import Ints, TokenizedSplit
from welltuned.checkpoints import CHECKPOINTS, Identity, Store, carry_through, forget_checkpoints
from welltuned.encoders import Encoder
from welltuned.engine import Compute, prepare, resolve
from welltuned.errors import DataError, WelltunedError
from welltuned.evidence import readings, removal
from welltuned.fit import Fit
from welltuned.memory import fewer, out_of_memory_told
from welltuned.methods._base import Method
from welltuned.pretrained import Pretrained
from welltuned.provenance import provenance
from welltuned.record import (
    EpochRow,
    GivenUp,
    Incident,
    RunRecord,
    Utilisation,
    read_record,
    read_run,
    require_there,
    write_arrays,
    write_json,
)
from welltuned.spec import RunSpec
from welltuned.train import Training
from welltuned.utilisation import utilisation
from welltuned.workbench import Clock, Splits, Workbench

MODEL = "model/config.json"
GIVEN_UP = "given_up.json"


GoOn = Callable[[Sequence[EpochRow]], bool]
"""Whether a training whose curve is so far is worth going on with."""


def always(_: Sequence[EpochRow]) -> bool:
    """Nothing is given up."""
    return True


class HopelessError(Exception):
    """A training was given up after these epochs."""

    def __init__(self, curve: Sequence[EpochRow]) -> None:
        super().__init__()
        self.curve = list(curve)


class Subject:
    """The parts of one run: data, encoder with its method, rows; and what is done with them."""

    def __init__(self, spec: RunSpec, bench: Workbench) -> None:
        self.spec, self.bench = spec, bench
        self.clock, self.compute = Clock(), resolve(spec.compute)
        with self.clock("load"):
            self.dataset, self.origin = bench.dataset(spec.data), bench.model(spec.model)
        self.method = methods.build(spec.method)
        self.met: list[Incident] = []
        self._took_all_steps = False
        self._encoder: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """The pretrained encoder with the method attached, loaded on first use."""
        if self._encoder is None:
            with self.clock("load"):
                self._encoder = self._assembled()
        return self._encoder

    def _assembled(self) -> Encoder:
        return assembled(self.spec, self.method, self.origin, len(self.dataset.labels), self.compute)

    def finished(self, folder: Path, *needed: str) -> RunRecord | None:
        """An earlier record of exactly this spec, data and weights, if it and the needed files are there."""
        return finished_run(self.spec, folder, self.dataset.hash, self.origin.weights_hash, *needed)

    def give_up(self, folder: Path, curve: list[EpochRow]) -> None:
        """Keep what a trial had learned when it was given up."""
        data, weights = self.dataset.hash, self.origin.weights_hash
        write_json(folder / GIVEN_UP, GivenUp(id=self.spec.id, data_hash=data, weights_hash=weights, curve=curve))
        arrived(folder)

    def require_hope(self, folder: Path, go_on: GoOn) -> None:
        """Give a trial up again that was given up before, if that is still the judgement.

        Raises:
            HopelessError: it is.
        """
        try:
            found = read_record(folder / GIVEN_UP, GivenUp)
        except DataError:
            return
        same = (found.id, found.data_hash, found.weights_hash) == (
            self.spec.id, self.dataset.hash, self.origin.weights_hash,
        )  # fmt: skip
        if same and not go_on(found.curve):
            raise HopelessError(found.curve)

    def rows(self) -> Splits:
        """The splits that the run uses, as token ids."""
        with self.clock("load"):
            return _rows(self.bench.tokens(self.spec.data, self.spec.model), self.spec)

    def train(self, folder: Path, go_on: GoOn = always) -> tuple[dict[str, Any], RunRecord]:
        """Train; returns dev's logits [N, C] and labels [N], and the record so far.

        Args:
            folder: holds the training's checkpoints meanwhile.
            go_on: as in :func:`trial`.
        """
        spec, bench, compute, splits = self.spec, self.bench, self.compute, self.rows()
        bench.require_fit(spec, splits["train"], len(self.dataset.labels), compute)
        read = bench.tell(readings(splits, self.dataset.labels))
        encoder = self.encoder
        trained, total = _count(encoder, self.method.ledger(encoder.shape))
        learned = {name: splits[name] for name in ("train", "dev")}
        with out_of_memory_told(f"{spec.method.name} with batches of {spec.train.batch_size}"):
            with self.clock("memory"):
                memory = bench.memory(spec, splits["train"], len(self.dataset.labels), compute)
            learned, self.clock.seconds["features"] = self._constant(learned)
            found = self._carried(learned, folder, go_on)
            with self.clock("check"):
                removed = removal(encoder, self._assembled, learned["dev"], found.dev_logits, spec, compute)
        self.clock.seconds |= found.seconds
        used, labels = self._used(learned["train"], found), learned["dev"].known_labels
        record = RunRecord(
            id=spec.id,
            name=spec.name,
            spec=spec,
            labels=list(self.dataset.labels),
            columns=asdict(self.dataset.columns),
            rows={name: len(split) for name, split in learned.items()},
            curve=found.curve,
            best_epoch=found.best_epoch,
            dev_accuracy=found.curve[found.best_epoch - 1].dev_accuracy,
            usual_lr=self.method.defaults.lr,
            ledger=self.method.ledger(encoder.shape),
            trained_parameters=trained,
            all_parameters=total,
            memory=memory,
            timings=self.clock.seconds,
            utilisation=used,
            truncation={name: split.truncation for name, split in splits.items()},
            alarms=[*read, *found.alarms, *(alarms.raised(removed) if removed else [])],
            notes=list(self.dataset.notes),
            incidents=found.incidents,
            provenance=provenance(compute, self.dataset, self.origin.weights_hash),
        )
        return {"dev.logits": found.dev_logits, "dev.labels": labels}, record

    def _carried(self, rows: Splits, folder: Path, go_on: GoOn) -> Fit:
        """The training to its end: from its newest checkpoint, or from a beginning that another run has in common."""
        spec, bench = self.spec, self.bench
        onlooker = progress.Kept(folder, spec, bench.observer)
        training = Training(self.encoder, self.method, rows["train"], rows["dev"], spec.train, self.compute, onlooker)
        identity = Identity(spec.id, self.dataset.hash, self.origin.weights_hash)
        store = Store(folder / CHECKPOINTS, identity, bench.saving.limit, bench.observer.say)
        stages, per_epoch = bench.stages, training.per_epoch
        self.clock.seconds["shared"] = 0.0
        if stages.is_brought(spec, training):
            onlooker.starts_from(training.curve)
            return training.fit()
        stops = stages.begin(spec, training, per_epoch)
        if training.step:
            self.clock.seconds["shared"] = sum(training.seconds.values())
            onlooker.starts_from(training.curve)
            bench.observer.say(f"goes on from step {training.step:,} of a run that is the same up to there")

        def reached() -> None:
            if training.step in stops:
                stages.keep(spec, training, per_epoch)
            if training.is_at_rest and not go_on(training.curve):
                raise HopelessError(training.curve)

        with bench.guard(self.compute).watching(self.encoder, self.encoder.blocks):
            went_on = carry_through(training, store, bench.saving, bench.observer.say, reached)
        self._took_all_steps = not went_on and not self.clock.seconds["shared"]
        return training.fit()

    def _used(self, rows: TokenizedSplit, found: Fit) -> Utilisation | None:
        """What the steps used of the machine, where all of them were taken here and for this run alone."""
        if not self._took_all_steps:
            return None
        with self.clock("ceiling"):
            return utilisation(self.encoder, rows, len(found.curve), found.seconds["train"], self.compute)

    def features(self) -> Splits:
        """The rows to learn from, with what never changes of them."""
        splits = self.rows()
        return self._constant({name: splits[name] for name in ("train", "dev")})[0]

    def _constant(self, splits: Splits) -> tuple[Splits, float]:
        """What lies below the frontier computed once; and the seconds that this took."""
        return self.bench.constants(self.spec, self.encoder, splits, self.compute)

    def leave_whole(self, folder: Path, predictions: dict[str, Any], record: RunRecord) -> RunRecord:
        """Answer the test rows where there are some, then write everything, the record last."""
        spec, clock, rows = self.spec, Clock(), self.rows()
        if "test" in rows:
            with out_of_memory_told(f"evaluation in batches of {spec.train.eval_batch_size}"), clock("test"):
                predictions = {**predictions, "test.logits": self._answers(rows["test"])}
        with clock("save"):
            begin(folder, spec, predictions)
            model = folder / "model"
            artifact.save(model, self.encoder, self.method, spec.method, self.origin, self.dataset.labels)
        changed = {"rows": {name: len(split) for name, split in rows.items()}, "incidents": record.incidents + self.met}
        whole = record.model_copy(update={**changed, "timings": {**record.timings, **clock.seconds}})
        card.write(folder, whole)
        write_json(folder / "record.json", whole)
        progress.forget(folder)
        return whole

    def _answers(self, test: TokenizedSplit) -> Logits:
        """[M, C] logits of the test rows."""
        observer, spec = self.bench.observer, self.spec
        split = self._constant({"test": test})[0]["test"]
        observer.stage("predicting test", len(split))
        rows = spec.train.eval_batch_size
        with self.bench.guard(self.compute).watching(self.encoder, self.encoder.blocks):
            return predict(self.encoder, split, rows, self.compute, observer.advance, self._smaller)

    def _smaller(self, rows: int, told: str) -> None:
        self.met.append(fewer("evaluation", rows, told, step=0))
        self.bench.observer.say(self.met[-1].what)


def arrived(folder: Path) -> None:
    """What told of a training under way goes: the record is there, or the trial was given up."""
    forget_checkpoints(folder)
    progress.forget(folder)


def finished_run(spec: RunSpec, folder: Path, data_hash: str, weights_hash: str, *needed: str) -> RunRecord | None:
    """The record of an earlier run of exactly this spec on exactly this data and model, if it is there whole.

    Args:
        needed: files that must be there beside the record and the predictions.
    """
    try:
        record = read_run(folder)
    except DataError:
        return None
    made = record.provenance
    same = (record.id, made.data_hash, made.weights_hash) == (spec.id, data_hash, weights_hash)
    whole = all((folder / part).is_file() for part in ("predictions.safetensors", *needed))
    return record if same and whole else None


def assembled(spec: RunSpec, method: Method[Any], origin: Pretrained, classes: int, compute: Compute) -> Encoder:
    """The pretrained encoder under a fresh head, the method attached, ready for this machine."""
    encoder = origin.encoder(spec.model.head, classes, spec.train.seed)
    encoder.shape.require_positions(method.positions(), spec.model.max_length)
    with torch.random.fork_rng():
        torch.manual_seed(spec.train.seed)
        method.attach(encoder)
    encoder.frontier = method.frontier(encoder.shape)
    return prepare(encoder, compute)


def begin(folder: Path, spec: RunSpec, predictions: Mapping[str, Any]) -> None:
    """Spec and predictions; what an older run in the same folder left goes first, as it tells of other files."""
    require_there(folder)
    write_json(folder / "spec.json", spec)
    for name in (GIVEN_UP, "record.json", "results.json", "labels.safetensors", "report.html"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "model", ignore_errors=True)
    write_arrays(folder / "predictions.safetensors", predictions)


def _rows(splits: Splits, spec: RunSpec) -> Splits:
    """The splits as they are, or, to overfit, the same few rows for training and for dev, and no test."""
    if spec.train.overfit is None:
        return splits
    if spec.train.overfit > len(splits["train"]):
        raise DataError(
            f"there are {len(splits['train'])} training rows, fewer than the {spec.train.overfit} to overfit",
            where="--overfit",
        )
    few = splits["train"].take(_mixed(splits["train"].known_labels, spec.train.overfit))
    return {"train": few, "dev": few}


def _mixed(labels: Ints, count: int) -> Ints:
    """The first rows of each class in turn, so that no constant answer has all of them right."""
    order = np.argsort(labels, kind="stable")
    turn = np.arange(len(labels)) - np.searchsorted(labels[order], labels[order])
    return np.sort(order[np.argsort(turn, kind="stable")[:count]])


def _count(encoder: Encoder, ledger: dict[str, int]) -> tuple[int, int]:
    """Trained and all parameters, counted; the closed form must agree.

    Raises:
        WelltunedError: the method trains other tensors than it declares.
    """
    trained = sum(parameter.numel() for parameter in encoder.parameters() if parameter.requires_grad)
    if trained != sum(ledger.values()):
        raise WelltunedError(
            f"the method declares {sum(ledger.values()):,} trained parameters and trains {trained:,}",
            why="its ledger and its attach do not agree for this encoder",
        )
    return trained, sum(parameter.numel() for parameter in encoder.parameters())

"""RunSpec -> artifact + RunRecord: the only place where the parts meet."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from welltuned import __version__, alarms, artifact, frontier, methods
from welltuned.alarms import Reading, Removal
from welltuned.batches import Ints, TokenizedSplit, tokenize
from welltuned.data import load_dataset
from welltuned.data.dataset import Dataset
from welltuned.encoders import Encoder
from welltuned.engine import Compute, prepare, resolve
from welltuned.errors import DataError, WelltunedError
from welltuned.memory import longest_batch, measure_step, out_of_memory_told
from welltuned.methods._base import Method
from welltuned.pretrained import Pretrained, pretrained
from welltuned.progress import Observer
from welltuned.record import (
    Alarm,
    Provenance,
    RunRecord,
    installed_versions,
    processor_name,
    read_run,
    write_arrays,
    write_json,
)
from welltuned.spec import DataSpec, ModelSpec, RunSpec
from welltuned.train import fit, predict

Splits = dict[str, TokenizedSplit]
CHECKED_ROWS = 64
"""Dev rows on which a run is checked against itself without what was trained."""


@dataclass(frozen=True)
class Encoded:
    """Splits with their constant features, and the seconds that train and dev took.

    Each run that uses them is charged with these seconds, whether it computed the features or found them.
    """

    splits: Splits
    seconds: float


@dataclass
class Workbench:
    """What the runs of one command share: data, weights, tokens and constant features, each made once."""

    observer: Observer = field(default_factory=Observer)
    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _models: dict[str, Pretrained] = field(default_factory=dict)
    _tokens: dict[tuple[str, str], Splits] = field(default_factory=dict)
    _features: dict[tuple[str, str, str, str], Encoded] = field(default_factory=dict)

    def dataset(self, spec: DataSpec) -> Dataset:
        """The data, read on first use; its notes are said aloud then."""
        if spec.id not in self._datasets:
            dataset = self._datasets[spec.id] = load_dataset(spec)
            for note in dataset.notes:
                self.observer.say(note)
        return self._datasets[spec.id]

    def model(self, spec: ModelSpec) -> Pretrained:
        """The pretrained model's checked folder, found on first use."""
        if spec.id not in self._models:
            self._models[spec.id] = pretrained(spec)
        return self._models[spec.id]

    def tokens(self, data: DataSpec, model: ModelSpec) -> Splits:
        """train, dev and test as token ids, made on first use."""
        key = (data.id, model.id)
        if key not in self._tokens:
            dataset, tokenizer = self.dataset(data), self.model(model).tokenizer
            splits = {"train": dataset.train, "dev": dataset.dev, "test": dataset.test}
            self._tokens[key] = {name: tokenize(split, tokenizer, model.max_length) for name, split in splits.items()}
            for name, split in self._tokens[key].items():
                if split.truncation.cut:
                    self.observer.say(
                        f"{name}: {split.truncation.share:.1%} of {len(split):,} rows lose the end of the passage "
                        f"at {model.max_length} tokens"
                    )
        return self._tokens[key]

    def features(self, spec: RunSpec, encoder: Encoder, splits: Splits, compute: Compute) -> Encoded:
        """The same splits with their pooled representations, which depend on data, model and arithmetic alone."""
        key = (spec.data.id, spec.model.id, compute.precision, compute.engine)
        if key not in self._features:
            self.observer.stage("encoding once", sum(len(split) for split in splits.values()))
            clock, found, rows = Clock(), {}, spec.train.eval_batch_size
            for name, split in splits.items():
                with clock(name):
                    found[name] = frontier.with_features(encoder, split, rows, compute, self.observer.advance)
            self._features[key] = Encoded(found, clock.seconds["train"] + clock.seconds["dev"])
        return self._features[key]


class Clock:
    """Seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to ``name``."""
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def run(spec: RunSpec, folder: Path, bench: Workbench) -> RunRecord:
    """Train as the spec says and leave a whole run folder.

    A finished run of the same spec, on the same data and weights, is read instead.

    Raises:
        WelltunedError: of the kind that fits what went wrong; the folder then holds no record of this run.
    """
    clock, compute = Clock(), resolve(spec.compute)
    with clock("load"):
        dataset, origin = bench.dataset(spec.data), bench.model(spec.model)
        finished = finished_run(spec, folder, dataset.hash, origin.weights_hash)
        if finished is not None:
            bench.observer.say(f"{spec.name}: finished before, its record is read")
            return finished
        tokens = bench.tokens(spec.data, spec.model)
        method = methods.build(spec.method)
        encoder = assembled(spec, method, origin, len(dataset.labels), compute)
    trained, total = _count(encoder, method.ledger(encoder.shape))
    splits = _rows(tokens, spec)
    read = _read(splits, dataset.labels, bench.observer)
    with out_of_memory_told(f"{spec.method.name} with batches of {spec.train.batch_size}"):
        with clock("memory"):
            memory = measure_step(encoder, longest_batch(splits["train"], spec.train.batch_size), compute)
        if frontier.is_constant_below_head(encoder):
            encoded = bench.features(spec, encoder, tokens, compute)
            splits = _rows(encoded.splits, spec)
            clock.seconds |= {"features": encoded.seconds}
        found = fit(encoder, method, splits["train"], splits["dev"], spec.train, compute, bench.observer)
        clock.seconds |= found.seconds
        with clock("check"):
            fresh = partial(assembled, spec, method, origin, len(dataset.labels), compute)
            removed = _removed(encoder, fresh, splits["dev"], spec, compute)
        with clock("test"):
            bench.observer.stage("predicting test", len(splits["test"]))
            test_logits = predict(encoder, splits["test"], spec.train.eval_batch_size, compute, bench.observer.advance)
    predictions = {"dev.logits": found.dev_logits, "dev.labels": splits["dev"].known_labels, "test.logits": test_logits}
    with clock("save"):
        _save(folder, spec, predictions)
        artifact.save(folder / "model", encoder, method, spec.method, origin, dataset.labels)
    record = RunRecord(
        id=spec.id,
        name=spec.name,
        spec=spec,
        labels=list(dataset.labels),
        columns=asdict(dataset.columns),
        rows={name: len(split) for name, split in splits.items()},
        curve=found.curve,
        best_epoch=found.best_epoch,
        dev_accuracy=found.curve[found.best_epoch - 1].dev_accuracy,
        ledger=method.ledger(encoder.shape),
        trained_parameters=trained,
        all_parameters=total,
        memory=memory,
        timings=clock.seconds,
        truncation={name: split.truncation for name, split in splits.items()},
        alarms=[*read, *found.alarms, *(alarms.raised(removed) if removed else [])],
        notes=list(dataset.notes),
        provenance=provenance(compute, dataset, origin.weights_hash),
    )
    write_json(folder / "record.json", record)
    return record


def finished_run(spec: RunSpec, folder: Path, data_hash: str, weights_hash: str) -> RunRecord | None:
    """The record of an earlier run of exactly this spec on exactly this data and model, if it is there whole."""
    try:
        record = read_run(folder)
    except DataError:
        return None
    made = record.provenance
    same = (record.id, made.data_hash, made.weights_hash) == (spec.id, data_hash, weights_hash)
    parts = (folder / "predictions.safetensors", folder / "model" / "config.json")
    return record if same and all(part.is_file() for part in parts) else None


def assembled(spec: RunSpec, method: Method[Any], origin: Pretrained, classes: int, compute: Compute) -> Encoder:
    """The pretrained encoder under a fresh head, the method attached, ready for this machine."""
    encoder = origin.encoder(spec.model.head, classes, spec.train.seed)
    encoder.shape.require_positions(method.positions(), spec.model.max_length)
    with torch.random.fork_rng():
        torch.manual_seed(spec.train.seed)
        method.attach(encoder)
    encoder.frontier = method.frontier(encoder.shape)
    return prepare(encoder, compute)


def _read(splits: Splits, names: tuple[str, ...], observer: Observer) -> list[Alarm]:
    """Alarms about what the model gets to read, said before anything is trained."""
    readings = [
        Reading(name, splits[name].known_labels, splits[name].cut, names, splits[name].max_length)
        for name in ("train", "dev")
    ]
    found = [alarm for reading in readings for alarm in alarms.raised(reading)]
    for alarm in found:
        observer.say(f"alarm: {alarm.what}; to mend it: {alarm.mend}")
    return found


def _removed(
    encoder: Encoder, fresh: Callable[[], Encoder], dev: TokenizedSplit, spec: RunSpec, compute: Compute
) -> Removal | None:
    """The first dev rows as trained, and with everything but the head as training began; None where all is head.

    Args:
        fresh: makes an encoder as this one was before training.
    """
    head = {f"head.{name}" for name, _ in encoder.head.named_parameters()}
    trained = {name: one for name, one in encoder.named_parameters() if one.requires_grad}
    if trained.keys() <= head:
        return None
    before = fresh()
    with torch.no_grad():
        for name, one in before.named_parameters():
            if name in head and name in trained:
                one.copy_(trained[name])
    few = dev.take(np.arange(min(len(dev), CHECKED_ROWS)))
    rows = spec.train.eval_batch_size
    return Removal(
        trained=predict(encoder, few, rows, compute),
        removed=predict(before, few, rows, compute),
        tensors=len(trained.keys() - head),
    )


def _save(folder: Path, spec: RunSpec, predictions: Mapping[str, Any]) -> None:
    """Spec and predictions; what an older run in the same folder left goes first, as it tells of other files."""
    write_json(folder / "spec.json", spec)
    for name in ("record.json", "results.json", "labels.safetensors", "report.html"):
        (folder / name).unlink(missing_ok=True)
    write_arrays(folder / "predictions.safetensors", predictions)


def _rows(splits: Splits, spec: RunSpec) -> Splits:
    """The splits as they are, or, to overfit, the same few rows for training and for dev."""
    if spec.train.overfit is None:
        return splits
    if spec.train.overfit > len(splits["train"]):
        raise DataError(
            f"there are {len(splits['train'])} training rows, fewer than the {spec.train.overfit} to overfit",
            where="--overfit",
        )
    few = splits["train"].take(_mixed(splits["train"].known_labels, spec.train.overfit))
    return {**splits, "train": few, "dev": few}


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


def provenance(compute: Compute, dataset: Dataset, weights_hash: str) -> Provenance:
    """With what a result was made on this machine."""
    device = torch.cuda.get_device_name() if compute.device.type == "cuda" else "cpu"
    return Provenance(
        welltuned=__version__,
        versions=installed_versions(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=processor_name(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        device=device,
        precision=f"{compute.precision}, {compute.engine} engine",
        threads=torch.get_num_threads(),
        data_hash=dataset.hash,
        weights_hash=weights_hash,
    )

"""What the runs of one command share: data, weights, tokens, constant features, memory, each made once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from welltuned import frontier
from welltuned.batches import TokenizedSplit, tokenize
from welltuned.data import load_dataset
from welltuned.data.dataset import Dataset
from welltuned.data.sources import Source
from welltuned.encoders import Encoder
from welltuned.engine import Compute
from welltuned.memory import available, bytes_stored, longest_batch, measure_step, require_fit, resident
from welltuned.pretrained import Pretrained, pretrained
from welltuned.progress import Observer
from welltuned.record import Alarm, Memory, require_room
from welltuned.spec import DataSpec, ModelSpec, RunSpec

Splits = dict[str, TokenizedSplit]


@dataclass(frozen=True)
class Encoded:
    """A split with its constant features, and the seconds that they took.

    Each run that uses them is charged with these seconds, whether it computed the features or found them.
    """

    split: TokenizedSplit
    seconds: float


@dataclass
class Workbench:
    """Makes each shared thing on first use.

    Attributes:
        observer: told of the work.
        memory_limit: bytes that the process may take in all; None for what the machine has left.
        held: sources whose rows lie in memory, by their addresses.
    """

    observer: Observer = field(default_factory=Observer)
    memory_limit: int | None = None
    held: Mapping[str, Source] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _room: dict[str, int] = field(default_factory=dict)
    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _models: dict[str, Pretrained] = field(default_factory=dict)
    _tokens: dict[tuple[str, str], Splits] = field(default_factory=dict)
    _features: dict[tuple[object, ...], Encoded] = field(default_factory=dict)
    _memory: dict[tuple[object, ...], Memory] = field(default_factory=dict)

    def tell(self, alarms: list[Alarm]) -> list[Alarm]:
        """Say alarms aloud, each once however many runs raise it."""
        for alarm in alarms:
            if alarm.what not in self._told:
                self._told.add(alarm.what)
                self.observer.say(f"alarm: {alarm.what}; to mend it: {alarm.mend}")
        return alarms

    def dataset(self, spec: DataSpec) -> Dataset:
        """The data, read on first use; its notes are said aloud then."""
        if spec.id not in self._datasets:
            dataset = self._datasets[spec.id] = load_dataset(spec, self.held.get(spec.source))
            for note in dataset.notes:
                self.observer.say(note)
        return self._datasets[spec.id]

    def model(self, spec: ModelSpec) -> Pretrained:
        """The pretrained model's checked folder, found on first use."""
        if spec.id not in self._models:
            self._models[spec.id] = pretrained(spec)
        return self._models[spec.id]

    def tokens(self, data: DataSpec, model: ModelSpec) -> Splits:
        """train, dev and test as token ids, made on first use; without those that have no rows."""
        key = (data.id, model.id)
        if key not in self._tokens:
            dataset, tokenizer = self.dataset(data), self.model(model).tokenizer
            splits = {"train": dataset.train, "dev": dataset.dev, "test": dataset.test}
            splits = {name: split for name, split in splits.items() if len(split)}
            self._tokens[key] = {name: tokenize(split, tokenizer, model.max_length) for name, split in splits.items()}
            for name, split in self._tokens[key].items():
                if split.truncation.cut:
                    self.observer.say(
                        f"{name}: {split.truncation.share:.1%} of {len(split):,} rows lose the end of the passage "
                        f"at {model.max_length} tokens"
                    )
        return self._tokens[key]

    def features(self, spec: RunSpec, encoder: Encoder, splits: Splits, compute: Compute) -> dict[str, Encoded]:
        """These splits with their pooled representations, which depend on rows, model and arithmetic alone."""
        found = {}
        for name, split in splits.items():
            key = (spec.data.id, spec.model.id, compute.precision, compute.engine, spec.train.overfit, name)
            if key not in self._features:
                self.observer.stage(f"encoding {name} once", len(split))
                clock = Clock()
                with clock(name):
                    encoded = frontier.with_features(
                        encoder, split, spec.train.eval_batch_size, compute, self.observer.advance
                    )
                self._features[key] = Encoded(encoded, clock.seconds[name])
            found[name] = self._features[key]
        return found

    def require_fit(self, spec: RunSpec, split: TokenizedSplit, classes: int, compute: Compute) -> None:
        """Refuse a training step on the longest rows that would not fit the memory.

        Raises:
            ResourceError: says whether a smaller batch would fit, and which.
        """
        kind = compute.device.type
        if kind not in self._room:
            limit = self.memory_limit
            self._room[kind] = available(compute.device) if limit is None else limit - resident()
        require_fit(spec, self.model(spec.model), classes, int(split.lengths.max()), compute, self._room[kind])

    def require_room(self, specs: Sequence[RunSpec], folder: Path) -> None:
        """Refuse, before long work, what the disk could not take in the end.

        Args:
            specs: the runs that are still to be done.
            folder: below which they are written.

        Raises:
            ResourceError: says how much is needed and how much is free.
        """
        needed = 0
        for spec in specs:
            data = self.dataset(spec.data)
            rows = len(data.dev) + len(data.test)
            needed += bytes_stored(spec, self.model(spec.model), len(data.labels), rows)
        require_room(folder, needed)

    def memory(self, spec: RunSpec, encoder: Encoder, split: TokenizedSplit, compute: Compute) -> Memory:
        """What a training step on the longest rows takes; no other seed, rate or schedule changes it."""
        train = spec.train
        key = (spec.data.id, spec.model.id, spec.method.id, train.batch_size, train.overfit, spec.compute.id)
        if key not in self._memory:
            self._memory[key] = measure_step(encoder, longest_batch(split, train.batch_size), compute)
        return self._memory[key]


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

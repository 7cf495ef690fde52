"""What the runs of one command share: data, weights, tokens, constant features, memory, each made once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from welltuned import frontier, methods
from welltuned.batches import TokenizedSplit, rows_within, tokenize
from welltuned.checkpoints import Saving
from welltuned.data import load_dataset
from welltuned.data.dataset import Dataset
from welltuned.data.sources import Source
from welltuned.encoders import Encoder
from welltuned.engine import Compute
from welltuned.memory import (
    Guard,
    available,
    bytes_of_checkpoints,
    bytes_stored,
    fewer,
    in_pieces,
    played_step,
    require_fit,
    resident,
)
from welltuned.pretrained import Pretrained, pretrained
from welltuned.progress import Observer
from welltuned.record import Alarm, Memory, alone, require_room
from welltuned.spec import DataSpec, ModelSpec, RunSpec
from welltuned.stages import Stages

Splits = dict[str, TokenizedSplit]


@dataclass
class Workbench:
    """Makes each shared thing on first use.

    Attributes:
        observer: told of the work.
        memory_limit: bytes that the process may take in all; None for what the machine has left.
        held: sources whose rows lie in memory, by their addresses.
        stages: beginnings that its trainings have in common.
        cache_limit: bytes that constant activations may take on disk; 0 for none.
        saving: when its trainings are saved.
        wait: where another command works in the folder of results, wait for it instead of refusing.
    """

    observer: Observer = field(default_factory=Observer)
    memory_limit: int | None = None
    held: Mapping[str, Source] = field(default_factory=dict)
    cache_limit: int = frontier.LIMIT
    stages: Stages = field(default_factory=Stages)
    saving: Saving = field(default_factory=Saving)
    wait: bool = False
    _told: set[str] = field(default_factory=set)
    _room: dict[str, int] = field(default_factory=dict)
    _datasets: dict[str, Dataset] = field(default_factory=dict)
    _models: dict[str, Pretrained] = field(default_factory=dict)
    _tokens: dict[tuple[str, str], Splits] = field(default_factory=dict)
    _constants: dict[str, frontier.Kept] = field(default_factory=dict)
    _steps: dict[tuple[object, ...], Memory] = field(default_factory=dict)

    def tell(self, alarms: list[Alarm]) -> list[Alarm]:
        """Say alarms aloud, each once however many runs raise it."""
        for alarm in alarms:
            if alarm.what not in self._told:
                self._told.add(alarm.what)
                self.observer.say(f"alarm: {alarm.what}; to mend it: {alarm.mend}")
        return alarms

    def alone(self, folder: Path) -> AbstractContextManager[None]:
        """Keep other commands out of a folder of results; errors as in :func:`welltuned.record.alone`."""
        return alone(folder, self.wait, self.observer.say)

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

    def constants(self, spec: RunSpec, encoder: Encoder, splits: Splits, compute: Compute) -> tuple[Splits, float]:
        """These splits with what never changes below the frontier, and the seconds that it took.

        Each run that uses it is charged with these seconds, whether it computed it or found it.
        """
        part = frontier.constant(encoder, compute)
        if part is None:
            return splits, 0.0
        found, seconds = {}, 0.0
        for name, split in splits.items():
            kept = self._encoded(part, name, spec, encoder, split, compute)
            found[name] = split if kept is None else part.given(split, kept.values)
            seconds += 0.0 if kept is None else kept.seconds
        return found, seconds

    def _encoded(
        self,
        part: frontier.Constant,
        name: str,
        spec: RunSpec,
        encoder: Encoder,
        split: TokenizedSplit,
        compute: Compute,
    ) -> frontier.Kept | None:
        """What is kept of one split, in pieces that fit the memory; None where it is more than may be kept."""

        def encoded(rows: int) -> frontier.Kept | None:
            key = frontier.identity(part, encoder, split, rows, self.model(spec.model).weights_hash, compute)
            return self._kept(key, part, name, encoder, split, rows, compute)

        def smaller(rows: int, told: str) -> None:
            self.observer.say(fewer("encoding", rows, told, step=0).what)

        with self.guard(compute).watching(encoder, encoder.blocks):
            return in_pieces(encoded, spec.train.eval_batch_size, len(split), "encoding", smaller)

    def _kept(
        self,
        key: str,
        part: frontier.Constant,
        name: str,
        encoder: Encoder,
        split: TokenizedSplit,
        rows: int,
        compute: Compute,
    ) -> frontier.Kept | None:
        if key in self._constants:
            return self._constants[key]
        store = frontier.Store(limit=self.cache_limit, say=self.observer.say)
        shape = part.numbers(encoder, split)
        if not part.pooled and not store.fits(shape):
            return None
        kept = store.find(key, shape)
        if kept is None:
            self.observer.stage(f"encoding {name} once", len(split))
            kept = store.make(
                key, shape, lambda into: part.compute(encoder, split, rows, compute, into, self.observer.advance)
            )
        self._constants[key] = kept
        return kept

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

    def guard(self, compute: Compute) -> Guard:
        """What stops a step before the system stops the process."""
        return Guard(self.memory_limit, compute.device)

    def require_room(self, specs: Sequence[RunSpec], folder: Path) -> None:
        """Refuse, before long work, what the disk could not take on the way or in the end.

        Args:
            specs: the runs that are still to be done.
            folder: below which they are written.

        Raises:
            ResourceError: says how much is needed and how much is free.
        """
        needed = kept = 0
        for spec in specs:
            data, origin = self.dataset(spec.data), self.model(spec.model)
            needed += bytes_stored(spec, origin, len(data.labels), len(data.dev) + len(data.test))
            shape = origin.shape.with_head(spec.model.head, len(data.labels))
            trained = sum(methods.build(spec.method).ledger(shape).values())
            kept = max(kept, bytes_of_checkpoints(trained, self.saving.limit))
        require_room(folder, needed + kept)

    def memory(self, spec: RunSpec, split: TokenizedSplit, classes: int, compute: Compute) -> Memory:
        """What a training step on the longest rows takes; seed and rates do not change it."""
        rows, tokens = min(spec.train.batch_size, len(split)), int(split.lengths.max())
        at_once = rows_within(compute.tokens_at_once, tokens, rows)
        key = (spec.model.id, spec.method.id, classes, spec.compute.id, rows, tokens)
        if key not in self._steps:
            config = self.model(spec.model).config
            self._steps[key] = played_step(
                config, spec.model.head, classes, spec.method, compute, rows, tokens, at_once
            )
        return self._steps[key]


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

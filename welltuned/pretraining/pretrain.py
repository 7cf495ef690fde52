"""PretrainSpec -> a model folder and a record: the only place where the parts of pretraining meet."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from welltuned.data.corpus import Corpus, read_corpus
from welltuned.engine import prepare, resolve
from welltuned.errors import DataError, UsageError
from welltuned.memory import out_of_memory_told
from welltuned.pretrained import Pretrained, pretrained, quieten_transformers, tokenizer_of
from welltuned.pretraining import loop
from welltuned.pretraining.masked_lm import MaskedLM, from_scratch
from welltuned.pretraining.masking import show
from welltuned.pretraining.rows import packing, rows_of_step
from welltuned.pretraining.tokens import TrainLines, token_streams
from welltuned.progress import Observer
from welltuned.record import read_record, whole_folder, write_json
from welltuned.record.pretraining import MaskedToken, PretrainingRecord, StepRow, Unigram
from welltuned.run import provenance
from welltuned.shapes import shape_of
from welltuned.spec import ModelSpec, PretrainSpec
from welltuned.tokenizing.learning import trained

SHOWN = 24
"""Tokens of the row that is shown."""
SCRATCH = "from scratch"
KIND = {"bert": "wordpiece", "roberta": "bpe"}


@dataclass(frozen=True)
class Start:
    """What a pretraining begins with.

    Attributes:
        origin: the encoder to go on with, or None.
        tokenizer: as the text is read.
        notes: sentences said to the user.
    """

    origin: Pretrained | None
    tokenizer: Any
    notes: tuple[str, ...] = ()

    @property
    def weights_hash(self) -> str:
        """Of the encoder to go on with."""
        return SCRATCH if self.origin is None else self.origin.weights_hash


def pretrain(spec: PretrainSpec, folder: Path, observer: Observer, command: str) -> PretrainingRecord:
    """Pretrain as the spec says and leave ``model/`` and ``results.json``; a finished one is read instead.

    What was interrupted goes on from its last checkpoint. Without steps the model is evaluated alone, and no model
    folder is written.

    Args:
        folder: holds ``tokens/`` and ``checkpoint/`` meanwhile.
        command: what the user typed, for the record.
    """
    quieten_transformers()
    compute = resolve(spec.compute)
    corpus = read_corpus(spec.text)
    start = _start(spec, corpus)
    finished = _finished(spec, folder, corpus, start)
    if finished is not None:
        observer.say("finished before, its record is read")
        return finished
    for note in (*corpus.notes, *start.notes):
        observer.say(note)
    identity, text = _text(spec, corpus, start, folder, observer)
    stock, fresh = _stock(spec, start)
    if fresh and start.origin is not None:
        observer.say(
            f"{start.origin.name} has no language-model head, so a fresh one is put on: tied to the word embeddings, "
            "untrained else; perplexity starts high, and --head-steps trains it first"
        )
    model = prepare(MaskedLM(stock), compute)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    with out_of_memory_told(f"pretraining with batches of {spec.batch_size}"):
        run = f"{spec.id} {identity} {start.weights_hash}"
        curve = loop.train(model, text, run, folder / "checkpoint", compute, observer)
        baseline, predicted = loop.unigram(text)
    record = PretrainingRecord(
        id=spec.id,
        command=command,
        spec=spec,
        text=corpus.name,
        vocabulary=len(start.tokenizer),
        parameters=parameters,
        tokens={part: len(stream) for part, stream in text.streams.items()},
        rows={part: text.how.count(stream) for part, stream in text.streams.items()},
        evaluated=sum(len(rows.inputs) for rows in text.held_out()),
        predicted=predicted,
        fresh_head=fresh,
        unigram=baseline,
        curve=curve,
        shown=_shown(text, start.tokenizer),
        verdict=verdict(spec, curve, baseline),
        notes=[*corpus.notes, *start.notes],
        provenance=provenance(compute, corpus, start.weights_hash),
    )
    if spec.steps:
        with whole_folder(folder / "model") as draft:
            model.to("cpu").reunited().save_pretrained(draft)
            start.tokenizer.save_pretrained(draft)
    write_json(folder / "results.json", record)
    for needless in ("checkpoint", "tokens"):
        shutil.rmtree(folder / needless, ignore_errors=True)
    return record


def preview(spec: PretrainSpec, folder: Path, observer: Observer) -> list[MaskedToken]:
    """What is masked, and what the labels are, on the first row that would be trained on; nothing is trained."""
    corpus = read_corpus(spec.text)
    start = _start(spec, corpus)
    for note in (*corpus.notes, *start.notes):
        observer.say(note)
    return _shown(_text(spec, corpus, start, folder, observer)[1], start.tokenizer)


def _start(spec: PretrainSpec, corpus: Corpus) -> Start:
    if spec.model is None:
        assert spec.shape is not None
        if spec.tokenizer is not None:
            return Start(None, tokenizer_of(spec.tokenizer, spec.max_length))
        tokenizer = trained(TrainLines(corpus, spec.held_out), KIND[spec.shape.family], spec.vocab_size)
        note = f"a tokenizer of {len(tokenizer):,} entries was trained on the lines that are not held out"
        return Start(None, tokenizer, (note,))
    origin = pretrained(ModelSpec(name=spec.model, max_length=spec.max_length))
    shape_of(origin.config.to_dict()).require_positions(0, spec.max_length)
    if spec.tokenizer is None:
        return Start(origin, origin.tokenizer)
    other = tokenizer_of(spec.tokenizer, spec.max_length)
    return Start(origin, other, _foreign(origin, other, spec.tokenizer))


def _foreign(origin: Pretrained, other: Any, name: str) -> tuple[str, ...]:
    """What to say of a tokenizer that is not the model's own."""
    if len(other) > origin.config.vocab_size:
        raise UsageError(
            f"{name} has {len(other):,} tokens where {origin.name} has {origin.config.vocab_size:,} embeddings",
            where="--tokenizer",
            mend="leave --tokenizer out: a model is read with its own",
        )
    ours, theirs = origin.tokenizer.get_vocab(), other.get_vocab()
    if ours == theirs:
        return ()
    same = sum(ours.get(piece) == number for piece, number in theirs.items())
    return (
        f"warning: {name} is not {origin.name}'s tokenizer: of its {len(theirs):,} entries {same:,} have the number "
        "that the model knows them by; the others select embeddings of other words",
    )


def _text(spec: PretrainSpec, corpus: Corpus, start: Start, folder: Path, observer: Observer) -> tuple[str, loop.Text]:
    how = packing(start.tokenizer, spec.max_length)
    identity, streams = token_streams(corpus, start.tokenizer, spec.held_out, folder / "tokens", observer)
    return identity, loop.Text(streams, how, spec)


def _stock(spec: PretrainSpec, start: Start) -> tuple[PreTrainedModel, bool]:
    """A stock masked-language model, and whether its head is fresh."""
    if start.origin is not None:
        return start.origin.masked_lm(spec.seed)
    assert spec.shape is not None
    return from_scratch(spec.shape, start.tokenizer, spec.max_length, spec.seed), True


def _finished(spec: PretrainSpec, folder: Path, corpus: Corpus, start: Start) -> PretrainingRecord | None:
    """The record of exactly this pretraining on exactly this text and model, if it is there whole."""
    try:
        record = read_record(folder / "results.json", PretrainingRecord)
    except DataError:
        return None
    made = record.provenance
    same = (record.id, made.data_hash, made.weights_hash) == (spec.id, corpus.hash, start.weights_hash)
    return record if same and (not spec.steps or (folder / "model" / "config.json").is_file()) else None


def _shown(text: loop.Text, tokenizer: Any) -> list[MaskedToken]:
    spec = text.spec
    which = rows_of_step(0, text.how.count(text.streams["train"]), spec.batch_size, spec.seed)
    rows = text.how.rows(text.streams["train"], np.asarray(which))
    return show(rows, text.step(0), text.how, tokenizer, 0, SHOWN)


def verdict(spec: PretrainSpec, curve: list[StepRow], baseline: Unigram) -> str:
    """The outcome in a sentence or two."""
    first, last = curve[0], curve[-1]
    beside = f"token frequencies alone reach {baseline.perplexity:,.1f} and {baseline.accuracy:.1%}"
    if not spec.steps:
        return (
            f"held-out perplexity {first.perplexity:,.1f}, {first.held_out_accuracy:.1%} of hidden tokens named "
            f"right; {beside}"
        )
    said = (
        f"held-out perplexity {first.perplexity:,.1f} before, {last.perplexity:,.1f} after {last.step:,} steps; of "
        f"the hidden tokens {last.held_out_accuracy:.1%} are named right; {beside}"
    )
    head = [row for row in curve if row.trained == "head"]
    if head and head[-1] is not last:
        said += f". With the head alone trained it stood at {head[-1].perplexity:,.1f} after {head[-1].step:,} steps"
    best = min(curve, key=lambda row: row.held_out_loss)
    if best.step != last.step:
        said += f". It was lowest at step {best.step:,} ({best.perplexity:,.1f}): fewer steps would have done better"
    return said

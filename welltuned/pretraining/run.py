"""PretrainSpec -> a model folder and a record: the only place where the parts of pretraining meet."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from welltuned.checkpoints import CHECKPOINTS, Identity, Saving, Store, carry_through, forget_checkpoints
from welltuned.data.corpus import Corpus, read_corpus
from welltuned.engine import prepare, resolve
from welltuned.errors import DataError
from welltuned.memory import Guard, bytes_of_checkpoints, out_of_memory_told
from welltuned.opening import MANIFEST, write_manifest
from welltuned.pretrained import quieten_transformers
from welltuned.pretraining import loop
from welltuned.pretraining.beginning import Start, begin, stock_model
from welltuned.pretraining.masked_lm import MaskedLM
from welltuned.pretraining.masking import show
from welltuned.pretraining.rows import packing, rows_of_step
from welltuned.pretraining.tokens import identity_of, token_streams
from welltuned.progress import Observer
from welltuned.provenance import provenance
from welltuned.record import read_record, require_replaceable, require_room, whole_folder, write_json
from welltuned.record.pretraining import MaskedToken, PretrainingRecord, StepRow, Unigram
from welltuned.spec import PretrainSpec

SHOWN = 24
"""Tokens of the row that is shown."""


def pretrain(
    spec: PretrainSpec, folder: Path, observer: Observer, command: str, saving: Saving | None = None
) -> PretrainingRecord:
    """Pretrain as the spec says and leave ``model/`` and ``results.json``; a finished one is read instead.

    What was interrupted goes on from its last checkpoint. Without steps the model is evaluated alone, and no model
    folder is written.

    Args:
        folder: holds ``tokens/`` and ``checkpoint/`` meanwhile.
        command: what the user typed, for the record.
        saving: when it is saved.
    """
    saving = saving or Saving()
    quieten_transformers()
    compute = resolve(spec.compute)
    corpus = read_corpus(spec.text)
    start = begin(spec, corpus)
    read = identity_of(corpus, start.tokenizer, spec.held_out)
    finished = _finished(spec, folder, read, start)
    if finished is not None:
        observer.say("finished before, its record is read")
        _forget(folder)
        return finished
    for note in (*corpus.notes, *start.notes):
        observer.say(note)
    (folder / "results.json").unlink(missing_ok=True)  # of another run, if it is there
    text = _text(spec, corpus, start, folder, observer)
    stock, fresh = stock_model(spec, start)
    if fresh and start.origin is not None:
        observer.say(
            f"{start.origin.name} has no language-model head, so a fresh one is put on: tied to the word embeddings, "
            "untrained else; perplexity starts high, and --head-steps trains it first"
        )
    model = prepare(MaskedLM(stock), compute)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if spec.steps:
        require_replaceable(folder / "model", (folder / "model" / MANIFEST).is_file())
        require_room(folder, 4 * parameters + bytes_of_checkpoints(parameters, saving.limit))
    with out_of_memory_told(f"pretraining with batches of {spec.batch_size}"):
        going = loop.Pretraining(model, text, compute, observer)
        identity = Identity(spec.id, read, start.weights_hash)
        store = Store(folder / CHECKPOINTS, identity, saving.limit, observer.say)
        with Guard(None, compute.device).watching(model, ()):
            carry_through(going, store, saving, observer.say)
        baseline, predicted = loop.unigram(text)
    record = PretrainingRecord(
        id=spec.id,
        command=command,
        spec=spec,
        text=corpus.name,
        tokens_id=read,
        vocabulary=len(start.tokenizer),
        parameters=parameters,
        tokens={part: len(stream) for part, stream in text.streams.items()},
        rows={part: text.how.count(stream) for part, stream in text.streams.items()},
        evaluated=sum(len(rows.inputs) for rows in text.held_out()),
        predicted=predicted,
        fresh_head=fresh,
        unigram=baseline,
        curve=going.curve,
        shown=_shown(text, start.tokenizer),
        verdict=verdict(spec, going.curve, baseline),
        notes=[*corpus.notes, *start.notes],
        incidents=going.incidents,
        provenance=provenance(compute, corpus, start.weights_hash),
    )
    if spec.steps:
        with whole_folder(folder / "model") as draft:
            model.to("cpu").reunited().save_pretrained(draft)
            start.tokenizer.save_pretrained(draft)
            write_manifest(draft)
    write_json(folder / "results.json", record)
    _forget(folder)
    return record


def _forget(folder: Path) -> None:
    """What is needless once the record is there."""
    forget_checkpoints(folder)
    shutil.rmtree(folder / "tokens", ignore_errors=True)


def preview(spec: PretrainSpec, folder: Path, observer: Observer) -> list[MaskedToken]:
    """What is masked, and what the labels are, on the first row that would be trained on; nothing is trained."""
    corpus = read_corpus(spec.text)
    start = begin(spec, corpus)
    for note in (*corpus.notes, *start.notes):
        observer.say(note)
    return _shown(_text(spec, corpus, start, folder, observer), start.tokenizer)


def _text(spec: PretrainSpec, corpus: Corpus, start: Start, folder: Path, observer: Observer) -> loop.Text:
    how = packing(start.tokenizer, spec.max_length)
    streams = token_streams(corpus, start.tokenizer, spec.held_out, folder / "tokens", observer)
    return loop.Text(streams, how, spec)


def _finished(spec: PretrainSpec, folder: Path, read: str, start: Start) -> PretrainingRecord | None:
    """The record of exactly this pretraining on exactly these tokens and weights, if it is there whole."""
    try:
        record = read_record(folder / "results.json", PretrainingRecord)
    except DataError:
        return None
    made = (record.id, record.tokens_id, record.provenance.weights_hash)
    same = made == (spec.id, read, start.weights_hash)
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

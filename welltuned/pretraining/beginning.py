"""What a pretraining begins with: an encoder to go on with or a shape to begin, and the tokenizer of either."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from welltuned.data.corpus import Corpus
from welltuned.errors import UsageError
from welltuned.pretrained import Pretrained, pretrained, tokenizer_of
from welltuned.pretraining.masked_lm import from_scratch
from welltuned.pretraining.tokens import TrainLines
from welltuned.shapes import shape_of
from welltuned.spec import ModelSpec, PretrainSpec
from welltuned.tokenizing.learning import trained

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


def begin(spec: PretrainSpec, corpus: Corpus) -> Start:
    """Find the encoder and the tokenizer, or train the tokenizer on the lines that are not held out.

    Raises:
        UsageError: rows are longer than the encoder can place, or a foreign tokenizer has more entries than it.
    """
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


def stock_model(spec: PretrainSpec, start: Start) -> tuple[PreTrainedModel, bool]:
    """A stock masked-language model, and whether its head is fresh."""
    if start.origin is not None:
        return start.origin.masked_lm(spec.seed)
    assert spec.shape is not None
    return from_scratch(spec.shape, start.tokenizer, spec.max_length, spec.seed), True

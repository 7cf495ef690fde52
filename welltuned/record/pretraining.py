"""What a masked-language-model pretraining found: its curve, what is masked, and the baselines beside it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from welltuned.record.run import Incident, Provenance
from welltuned.record.schema import SCHEMA, Schema
from welltuned.spec import PretrainSpec

Treatment = Literal["special", "not chosen", "masked", "random", "kept"]
Trained = Literal["nothing", "head", "all"]


class MaskedToken(Schema):
    """One position of a row: the token, what the model is given, and what it must predict.

    ``label`` is None where nothing is to be predicted (-100 in the tensor of labels).
    """

    piece: str
    given: str
    label: str | None
    treatment: Treatment


class StepRow(Schema):
    """One point of the curve. Losses are mean cross-entropies of masked tokens, in nats.

    Attributes:
        step: optimizer steps done.
        trained: what the steps since the point before have trained.
        train_loss: running mean since the point before (dropout on, weights moving); None before the first step.
        held_out_loss, held_out_accuracy: on the held-out rows, whose masks are the same at every point.
        lr: of the last step.
        seconds: of the steps since the point before, and of this evaluation.
    """

    step: int
    trained: Trained
    train_loss: float | None
    held_out_loss: float
    held_out_accuracy: float
    lr: float
    seconds: float

    @property
    def perplexity(self) -> float:
        """exp of the held-out loss."""
        return math.exp(min(self.held_out_loss, 700.0))


class Unigram(Schema):
    """What knows nothing but how frequent each token is in the train rows, on the same held-out labels."""

    loss: float
    accuracy: float

    @property
    def perplexity(self) -> float:
        """exp of the loss."""
        return math.exp(self.loss)


class PretrainingRecord(Schema):
    """What ``pretrain`` found; ``results.json`` of its folder. ``model/`` beside it goes into every ``--model``.

    Attributes:
        tokens_id: SHA-256 over text, tokenizer and held-out share.
        tokens, rows: of "train" and "held_out".
        evaluated: held-out rows in each evaluation.
        predicted: held-out tokens to be predicted in each evaluation.
        fresh_head: whether the checkpoint had no language-model head.
        shown: the first tokens of one row, with what is masked.
    """

    kind: Literal["pretraining"] = "pretraining"
    schema_version: int = SCHEMA
    id: str
    command: str
    spec: PretrainSpec
    text: str
    tokens_id: str
    vocabulary: int
    parameters: int
    tokens: dict[str, int]
    rows: dict[str, int]
    evaluated: int
    predicted: int
    fresh_head: bool
    unigram: Unigram
    curve: list[StepRow]
    shown: list[MaskedToken]
    verdict: str
    notes: list[str] = Field(default_factory=list)
    incidents: list[Incident] = Field(default_factory=list)
    provenance: Provenance

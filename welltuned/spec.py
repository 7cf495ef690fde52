"""What to run: frozen, validated descriptions with a JSON round trip and a stable identity.

A :class:`RunSpec` says everything that decides the outcome of one training run. Two specs with equal
content have equal ``id``, on every machine and in every session, so a finished run can be found again.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Pooling = Literal["mean", "first", "native"]
Precision = Literal["auto", "fp32", "bf16"]
Engine = Literal["fast", "plain"]
Device = Literal["auto", "cpu", "cuda"]
Schedule = Literal["linear", "constant", "cosine", "wsd"]
SplitMode = Literal["given", "grouped"]


def without_home(words: str) -> str:
    """The same words with ``~`` for the home folder, which would tell in a record who made it."""
    home = Path.home().as_posix().rstrip("/")
    return re.sub(rf"(?<![\w/.~-]){re.escape(home)}(?=/|$)", "~", words) if home else words


Place = Annotated[str, AfterValidator(without_home)]
"""An alias, a Hub id, or a path of a file or folder; whoever opens it expands the ``~``."""


class Spec(BaseModel):
    """A frozen record of choices; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits of the SHA-256 over the canonical JSON of this spec."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:12]


class DataSpec(Spec):
    """Where the rows come from and how they are split.

    Attributes:
        source: ``builtin:NAME``, a Hub id, a file, or a folder of train/dev/test files.
        text: column of the first text (the question); guessed from common names when None.
        text_pair: column of the second text (the passage); guessed when None, "" for none at all.
        label: column of the label; guessed when None.
        split: "given" keeps the splits as supplied and cuts only those missing; "grouped" pools all
            rows and cuts them anew so that no passage stands in two splits.
        split_seed: decides every cut; never the training seed.
        max_train_samples, max_eval_samples, max_predict_samples: keep a fixed random subset of at most
            so many rows of train, dev and test.
    """

    source: Place
    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    split: SplitMode = "given"
    split_seed: int = Field(default=0, ge=0)
    max_train_samples: int | None = Field(default=None, ge=1)
    max_eval_samples: int | None = Field(default=None, ge=1)
    max_predict_samples: int | None = Field(default=None, ge=1)


class ModelSpec(Spec):
    """Which pretrained encoder, and how its hidden states become logits.

    Attributes:
        name: an alias, a Hub id or a folder.
        head: one linear layer over the masked mean ("mean") or over the first token ("first"), or the
            model's own classification head ("native").
        max_length: tokens a row at most, question and passage and special tokens together.
        revision: a Hub revision, else the default branch.
    """

    name: Place
    head: Pooling = "mean"
    max_length: int = Field(default=256, ge=8)
    revision: str | None = None


class MethodSpec(Spec):
    """A method by name and the values of its own config's fields (defaults filled in)."""

    name: str
    config: dict[str, Any] = Field(default_factory=dict)


class OptimizerSpec(Spec):
    """How weights follow their gradients.

    Attributes:
        lr: peak learning rate.
        weight_decay: decoupled decay on matrices; biases and norms are exempt.
        warmup_ratio: share of all steps over which the rate rises linearly from 0.
        warmup_steps: steps of it, whatever their share; None to go by the share.
        schedule: what the rate does after warmup. "wsd" keeps it and lets it fall over the last fifth of the steps, so
            that trainings of different length are the same until then.
        max_grad_norm: gradients are clipped to this global 2-norm; 0 for none.
    """

    lr: float = Field(gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warmup_ratio: float = Field(default=0.06, ge=0, le=1)
    warmup_steps: int | None = Field(default=None, ge=0)
    schedule: Schedule = "linear"
    max_grad_norm: float = Field(default=1.0, ge=0)


class TrainSpec(OptimizerSpec):
    """How to train.

    Attributes:
        epochs: passes over the training rows.
        batch_size: rows of one optimizer step.
        eval_batch_size: rows a forward pass in evaluation.
        seed: decides initialisation, order and dropout.
        patience: stop after so many epochs without a better dev score; None trains to the end.
        overfit: train and evaluate on the same so many rows; None for real training.
    """

    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=32, ge=1)
    eval_batch_size: int = Field(default=64, ge=1)
    seed: int = Field(default=0, ge=0)
    patience: int | None = Field(default=None, ge=1)
    overfit: int | None = Field(default=None, ge=2)


class ComputeSpec(Spec):
    """On what, and with which arithmetic. The commands settle ``auto`` before they make a run of it."""

    device: Device = "auto"
    precision: Precision = "auto"
    engine: Engine = "fast"


class ShapeSpec(Spec):
    """A small encoder to be trained from scratch.

    Attributes:
        family: whose architecture, and whose kind of tokenizer: BERT's WordPiece or RoBERTa's byte-level BPE.
        layers, hidden, heads: blocks, width, attention heads; the feed-forward part is four times as wide.
    """

    family: Literal["bert", "roberta"] = "bert"
    layers: int = Field(default=2, ge=1)
    hidden: int = Field(default=128, ge=1)
    heads: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> ShapeSpec:
        if self.hidden % self.heads:
            raise ValueError(f"{self.heads} heads cannot share a width of {self.hidden}")
        return self


class PretrainSpec(OptimizerSpec):
    """One masked-language-model pretraining, whole.

    Attributes:
        text: where the text comes from.
        model: the encoder to go on with; None to begin from ``shape``.
        shape: the encoder to begin with; None to go on with ``model``.
        tokenizer: a tokenizer of another place; None for the model's own, or for one trained on the text.
        vocab_size: entries of a tokenizer trained on the text.
        max_length: tokens of a row, special tokens included; rows are packed to it.
        steps: optimizer steps in all; 0 only evaluates.
        head_steps: the first of them, which train the language-model head alone.
        mask_rate: share of a row's tokens that are to be predicted.
        whole_words: choose words instead of tokens.
        held_out: share of lines that is never trained on.
        eval_every: steps between evaluations.
        seed: decides initialisation, order, masks and dropout.
    """

    text: DataSpec
    model: Place | None = None
    shape: ShapeSpec | None = None
    tokenizer: Place | None = None
    vocab_size: int = Field(default=8000, ge=10)
    max_length: int = Field(default=128, ge=8)
    steps: int = Field(default=1000, ge=0)
    head_steps: int = Field(default=0, ge=0)
    batch_size: int = Field(default=32, ge=1)
    mask_rate: float = Field(default=0.15, gt=0, lt=1)
    whole_words: bool = False
    held_out: float = Field(default=0.05, gt=0, lt=1)
    eval_every: int = Field(default=100, ge=1)
    seed: int = Field(default=0, ge=0)
    compute: ComputeSpec = ComputeSpec()

    @model_validator(mode="after")
    def _one_beginning(self) -> PretrainSpec:
        if (self.model is None) == (self.shape is None):
            raise ValueError("either a model to go on with or a shape to begin with is needed")
        return self


class RunSpec(Spec):
    """One training run, whole."""

    data: DataSpec
    model: ModelSpec
    method: MethodSpec
    train: TrainSpec
    compute: ComputeSpec = ComputeSpec()

    @property
    def name(self) -> str:
        """A readable folder name: method, model, seed and the head of the id."""
        return f"{self.method.name}-{short_name(self.model.name)}-seed{self.train.seed}-{self.id[:8]}"


def short_name(model: str) -> str:
    """A model's name without owner or path; of a folder that a command wrote, the folder around its ``model/``."""
    parts = [part for part in model.split("/") if part]
    around = parts[-2] if len(parts) > 1 and parts[-1] == "model" else "~"
    return parts[-1] if around == "~" else around

"""What one training run found: curve, ledger, memory, timings, alarms, provenance."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from welltuned.record.schema import SCHEMA, Schema
from welltuned.spec import RunSpec


class EpochRow(Schema):
    """One epoch of the curve. Losses are mean cross-entropies in nats; accuracies are shares in [0, 1].

    ``train_loss`` and ``train_accuracy`` are running means over the epoch's own training batches (dropout on,
    weights moving); the dev figures are taken after the epoch in evaluation mode. ``lr`` is what the
    optimizer had in the last step, ``planned_lr`` what the schedule says.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    dev_loss: float
    dev_accuracy: float
    lr: float
    seconds: float
    grad_norm: float
    planned_lr: float | None = None


class Memory(Schema):
    """Bytes of one training step on the longest rows of the run.

    Weights, gradients and the optimizer's two moments follow from the tensors' sizes. ``activations`` is what waits
    for backward; ``forward``, ``backward`` and ``step`` are the largest sums held at one moment of the two passes and
    of the step, ``peak`` the largest of the three. ``how`` says where they come from.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    forward: int
    backward: int
    step: int
    peak: int
    rows: int
    tokens: int
    how: str


class Utilisation(Schema):
    """What a training's steps used of the machine's matrix products (:mod:`welltuned.utilisation`).

    Attributes:
        flop: that their mathematics needs, on tokens without padding.
        seconds: that they took, evaluation left out.
        ceiling: FLOP a second of a feed-forward product on the same device, in the same precision, with as many
            threads, measured after the training.
    """

    flop: int = Field(gt=0, lt=1 << 100)
    seconds: float = Field(gt=0, allow_inf_nan=False)
    ceiling: float = Field(gt=0, allow_inf_nan=False)

    @property
    def rate(self) -> float:
        """FLOP a second that were reached."""
        return self.flop / self.seconds

    @property
    def share(self) -> float:
        """Model FLOPs utilization, of the measured ceiling; above 1 where that was measured on a busier machine."""
        return self.rate / self.ceiling


class Truncation(Schema):
    """Rows of a split whose passage (or, rarely, question) lost tokens to ``max_length``."""

    rows: int
    cut: int
    questions_cut: int = 0

    @property
    def share(self) -> float:
        """Share of rows that lost tokens."""
        return self.cut / self.rows if self.rows else 0.0


class Alarm(Schema):
    """Something that makes a figure untrustworthy: what, why it may be so, and how to mend it."""

    kind: str
    what: str
    cause: str
    mend: str


class Incident(Schema):
    """Something that a run met and got over, by itself and in a way that a reader should know.

    Attributes:
        kind: "memory": a step or an evaluation did not fit and was done again in smaller pieces, its gradient still the
            mean over all rows of the batch (dropout draws other masks); "divergence": a loss or gradient was not
            finite, and training went back and on at a smaller rate.
        step: optimizer steps done before it.
        what: a sentence.
        rows: at once from then on, in training or evaluation.
        rate: share of the planned learning rate from then on.
    """

    kind: Literal["memory", "divergence"]
    step: int
    what: str
    rows: int | None = None
    rate: float | None = None


class Opening(Schema):
    """One look at the test labels: when, for which frozen selection, and why; ``folder`` is "" for the record's own."""

    when: str
    selection: str
    purpose: str
    folder: str = ""


class Provenance(Schema):
    """With what it was made. Versions by package name; no user names, no home paths, no environment."""

    welltuned: str
    versions: dict[str, str]
    python: str
    platform: str
    processor: str
    cores: int
    memory_bytes: int
    device: str
    precision: str
    threads: int
    data_hash: str
    weights_hash: str


class RunRecord(Schema):
    """The record of one training run; ``usual_lr`` is the learning rate that its method starts from.

    ``utilisation`` is None where no step of its own went through a block, where some were taken by another process or
    another run, and for encoders whose products have no closed form here.
    """

    schema_version: int = SCHEMA
    id: str
    name: str
    spec: RunSpec
    labels: list[str]
    columns: dict[str, str | None] = Field(default_factory=dict)
    rows: dict[str, int]
    curve: list[EpochRow]
    best_epoch: int
    dev_accuracy: float
    usual_lr: float
    ledger: dict[str, int]
    trained_parameters: int
    all_parameters: int
    memory: Memory
    timings: dict[str, float]
    utilisation: Utilisation | None = None
    truncation: dict[str, Truncation]
    alarms: list[Alarm] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    incidents: list[Incident] = Field(default_factory=list)
    provenance: Provenance

    @model_validator(mode="after")
    def _best_epoch_is_of_the_curve(self) -> RunRecord:
        if self.curve and not 1 <= self.best_epoch <= len(self.curve):
            raise ValueError(f"epoch {self.best_epoch} is said to be the best of {len(self.curve)}")
        return self

    @property
    def lost_after_peak(self) -> float:
        """How far dev accuracy fell from its best epoch to the last, as a share; 0 for a run without epochs."""
        if not self.curve:
            return 0.0
        return max(row.dev_accuracy for row in self.curve) - self.curve[-1].dev_accuracy

    @property
    def takes_pairs(self) -> bool:
        """Whether a row is a pair of texts."""
        return self.columns.get("text_pair") is not None


class Progress(Schema):
    """How far a run has come that has no record yet; ``progress.json`` of its folder."""

    schema_version: int = SCHEMA
    spec: RunSpec
    curve: list[EpochRow] = Field(default_factory=list)


class Score(Schema):
    """An accuracy with its interval at ``level``."""

    accuracy: float
    low: float
    high: float
    level: float = 0.95


class Measures(Schema):
    """What else than accuracy is said of answers to the test rows.

    ``f1`` is that of the class ``f1_of``, ``mcc`` Matthews' correlation; ``ece`` is the expected calibration error with
    15 bins of equal width, ``ece_adaptive`` with bins of equally many rows; all are means over seeds, as is
    ``log_loss`` in nats. ``confusion[true][said]`` counts rows over all seeds, with few classes; ``confused`` names the
    most frequent errors as (true, said, rows). ``confidence``, ``accuracy`` and ``count`` are the reliability curve.
    """

    f1: float
    f1_of: str
    mcc: float
    log_loss: float
    ece: float
    ece_adaptive: float
    confusion: list[list[int]] | None
    confused: list[tuple[str, str, int]]
    confidence: list[float]
    accuracy: list[float]
    count: list[int]


class TrainingRecord(Schema):
    """What ``train`` found; ``results.json`` of its folder, beside the run's own ``record.json``.

    ``learned`` says, for a run that was to overfit a few rows, whether it has every one of them right.
    """

    kind: Literal["training"] = "training"
    schema_version: int = SCHEMA
    command: str
    run: str
    data: str
    dev: Score
    test: Score | None
    majority_dev: float
    learned: bool | None
    verdict: str
    test_openings: int
    openings: list[Opening] = Field(default_factory=list)
    test_hash: str = ""
    measures: Measures | None = None
    alarms: list[Alarm]

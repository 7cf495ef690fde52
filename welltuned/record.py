"""What happened: the record of a run and of a comparison, their files, and how they reach the disk whole.

A record is JSON with a versioned schema; per-example logits and labels lie beside it as safetensors. Nothing
here needs torch, so anyone can recompute every published figure from the files alone.

Files of a run folder::

    spec.json                 the resolved RunSpec
    record.json               RunRecord; written last, so its presence means that the run is complete
    predictions.safetensors   dev.logits [N, C], dev.labels [N], test.logits [M, C]   (float32, int64)
    figures/*.png
    model/                    the trained model
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from welltuned.errors import DataError, ResourceError
from welltuned.spec import RunSpec

SCHEMA = 1
Array = NDArray[Any]
_Record = TypeVar("_Record", bound=BaseModel)


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=(), ser_json_inf_nan="constants")


class EpochRow(_Schema):
    """One epoch of the curve. Losses are mean cross-entropies in nats; accuracies are shares in [0, 1].

    ``train_loss`` and ``train_accuracy`` are running means over the epoch's own training batches (dropout on,
    weights moving); the dev figures are taken after the epoch in evaluation mode.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    dev_loss: float
    dev_accuracy: float
    lr: float
    seconds: float
    grad_norm: float


class Memory(_Schema):
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


class Truncation(_Schema):
    """Rows of a split whose passage (or, rarely, question) lost tokens to ``max_length``."""

    rows: int
    cut: int
    questions_cut: int = 0

    @property
    def share(self) -> float:
        """Share of rows that lost tokens."""
        return self.cut / self.rows if self.rows else 0.0


class Alarm(_Schema):
    """Something that makes a figure untrustworthy: what, why it may be so, and how to mend it."""

    kind: str
    what: str
    cause: str
    mend: str


class Provenance(_Schema):
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


class RunRecord(_Schema):
    """The record of one training run."""

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
    ledger: dict[str, int]
    trained_parameters: int
    all_parameters: int
    memory: Memory
    timings: dict[str, float]
    truncation: dict[str, Truncation]
    alarms: list[Alarm] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    provenance: Provenance

    @property
    def takes_pairs(self) -> bool:
        """Whether a row is a pair of texts."""
        return self.columns.get("text_pair") is not None


class Score(_Schema):
    """An accuracy with its interval at ``level``."""

    accuracy: float
    low: float
    high: float
    level: float = 0.95


class TableRow(_Schema):
    """One line of a comparison: a configuration (method x model) over its seeds, or a baseline.

    ``kind`` is "method", "baseline", or "failed" (did not fit the device, or diverged: ``failure`` says why).
    ``seconds`` is the mean training time of one seed; ``memory_bytes`` the peak of one training step.
    """

    name: str
    kind: Literal["method", "baseline", "failed"]
    method: str | None = None
    model: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    lr: float | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seeds: list[int] = Field(default_factory=list)
    runs: list[str] = Field(default_factory=list)
    trained_parameters: int | None = None
    all_parameters: int | None = None
    memory_bytes: int | None = None
    seconds: float | None = None
    dev: Score | None = None
    test: Score | None = None
    failure: str | None = None
    alarms: list[Alarm] = Field(default_factory=list)

    @property
    def share(self) -> float | None:
        """Share of all parameters that is trained."""
        if self.trained_parameters is None or not self.all_parameters:
            return None
        return self.trained_parameters / self.all_parameters


class Statement(_Schema):
    """A paired statement about two rows of the table, over the same test items.

    ``low`` and ``high`` bound the difference a - b simultaneously over all pairs at ``level``; ``p`` is the pair's
    own p-value and ``p_holm`` the one corrected over all pairs, on which ``significant`` is decided.
    """

    a: str
    b: str
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    scope: str
    sentence: str
    level: float = 0.95
    significant: bool = False


class ComparisonRecord(_Schema):
    """What a comparison found; ``results.json`` of its folder.

    Beside it: ``labels.safetensors`` with the opened test.labels [M], and ``baselines.safetensors`` with the
    baselines' log-probabilities, so that every figure can be recomputed from the folder.
    """

    schema_version: int = SCHEMA
    id: str = ""
    winner: str | None = None
    command: str
    data: str
    data_hash: str
    labels: list[str]
    rows: dict[str, int]
    class_shares: dict[str, dict[str, float]]
    table: list[TableRow]
    statements: list[Statement] = Field(default_factory=list)
    verdict: str
    budget: str
    test_openings: int
    notes: list[str] = Field(default_factory=list)
    provenance: Provenance


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Raises:
        ResourceError: the disk is full, the folder is gone or may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).chmod(0o666 & ~_umask())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ResourceError(
            f"cannot write {path.name}",
            where=str(path.parent),
            why=error.strerror or str(error),
            mend="choose another --out folder, make room, or give yourself permission to write there",
        ) from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, content: BaseModel | Mapping[str, Any]) -> None:
    """Write a model or mapping as indented UTF-8 JSON, atomically."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    write_bytes(path, (json.dumps(plain, indent=2, ensure_ascii=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays as safetensors, atomically."""
    write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_arrays(path: Path) -> dict[str, Array]:
    """Read named arrays written by :func:`write_arrays`.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError("cannot read the stored arrays", where=str(path), why=str(error)) from error


def read_run(folder: Path) -> RunRecord:
    """Read ``record.json`` of a run folder.

    Raises:
        DataError: there is no complete run in the folder, or its record is damaged or of another schema.
    """
    return _read(folder / "record.json", RunRecord)


def read_comparison(folder: Path) -> ComparisonRecord:
    """Read ``results.json`` of a comparison folder; errors as in :func:`read_run`."""
    return _read(folder / "results.json", ComparisonRecord)


def _read(path: Path, kind: type[_Record]) -> _Record:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"no {path.name} to read",
            where=str(path.parent),
            why=error.strerror,
            mend="name the folder that a finished welltuned command wrote",
        ) from error
    except ValidationError as error:
        raise DataError(
            f"{path.name} is damaged or from another version of Welltuned",
            where=str(path),
            why=str(error.errors(include_url=False)[0]["msg"]),
            mend="run the same command again to make it anew",
        ) from error


class TrainingRecord(_Schema):
    """What ``train`` found; ``results.json`` of its folder, beside the run's own ``record.json``.

    ``learned`` says, for a run that was to overfit a few rows, whether it has every one of them right.
    """

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
    alarms: list[Alarm]


class MemoryRow(_Schema):
    """The memory of one method's training step: predicted in closed form, and measured unless that was left out.

    ``formula`` gives the bytes that wait for backward, with B rows and T tokens.
    """

    name: str
    method: str
    model: str
    config: dict[str, Any]
    predicted: Memory
    measured: Memory | None
    formula: str

    @property
    def off(self) -> float | None:
        """Relative error of the predicted peak."""
        return None if self.measured is None else self.predicted.peak / self.measured.peak - 1


class MemoryRecord(_Schema):
    """What ``memory`` found; ``results.json`` of its folder."""

    schema_version: int = SCHEMA
    command: str
    data: str
    rows: list[MemoryRow]
    provenance: Provenance


class TrialRow(_Schema):
    """A batch that was really run in a process of its own.

    ``peak`` is the process's; None where it was stopped on its way. ``predicted`` counts the tensors alone.
    """

    rows: int
    fits: bool
    peak: int | None
    predicted: int
    seconds: float


class CapacityPart(_Schema):
    """The largest batch of training or of evaluation, of T ``tokens`` in each row.

    ``overhead`` is what the process takes beside tensors, found on one row; ``predicted`` the largest batch by the
    closed form on top of it. ``largest`` was run and fits; one row more was run and does not, unless all ``rows``
    of the data fit. 0 says that not even one row does.
    """

    tokens: int
    rows: int
    overhead: int
    predicted: int
    largest: int
    trials: list[TrialRow]

    @property
    def peak(self) -> int | None:
        """Bytes of the process at the largest batch."""
        return next((trial.peak for trial in self.trials if trial.rows == self.largest), None)


class CapacityRow(_Schema):
    """The largest batches of one method on one model."""

    name: str
    method: str
    model: str
    config: dict[str, Any]
    precision: str
    train: CapacityPart
    evaluation: CapacityPart


class CapacityRecord(_Schema):
    """What ``max-batch`` found under ``limit`` bytes; ``results.json`` of its folder."""

    schema_version: int = SCHEMA
    command: str
    data: str
    limit: int
    limit_told: str
    rows: list[CapacityRow]
    provenance: Provenance


VERSIONED = (
    "torch", "transformers", "peft", "tokenizers", "datasets", "safetensors", "scikit-learn", "scipy", "numpy",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Versions of the packages that decide a result, by distribution name."""
    found = {}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor_name() -> str:
    """The processor's model name, with the feature level that decides arithmetic speed."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    extra = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag} " in f"{flags} "]
    name = names[0] if names else platform.machine()
    return f"{name} ({' '.join(extra)})" if extra else name

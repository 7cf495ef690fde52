"""The model card: a run's records as the README.md of its model folder, with the metadata that the Hub reads.

Made from records and stored answers alone. What would tell of the machine or of single rows (paths, the command line,
examples in alarms) stays out, because cards are published. Metadata: https://huggingface.co/docs/hub/model-cards
(Mitchell et al. 2019, "Model Cards for Model Reporting").
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from welltuned.card import sections
from welltuned.card.markdown import code
from welltuned.card.metadata import metadata
from welltuned.card.subject import HERE, TASK, Results, Subject
from welltuned.judging import judge_run
from welltuned.record import (
    RunRecord,
    SearchRecord,
    TrainingRecord,
    read_arrays,
    read_run,
    write_bytes,
)

__all__ = ["MODEL", "NAME", "addressed", "write", "write_all"]

NAME = "README.md"
"""Of the card in its folder."""
MODEL = "model"
"""The model's folder in that of its run."""


def write(
    folder: Path, record: RunRecord, results: Results | None = None, labels: NDArray[np.int64] | None = None
) -> None:
    """Write the card of one run into its model folder.

    Args:
        folder: of the run, with its predictions and ``model/``.
        results: what the command found that the run is part of, once it is judged.
        labels: [M] the opened test labels; None leaves the card without test figures.

    Raises:
        DataError: predictions or the model's config cannot be read.
        ResourceError: the card cannot be written.
    """
    model = folder / MODEL
    subject = Subject(
        record=record,
        judged=judge_run(record, read_arrays(folder / "predictions.safetensors"), labels),
        config=json.loads((model / "config.json").read_bytes()),
        results=results,
        adapter=(model / "adapter").is_dir(),
    )
    write_bytes(model / NAME, _card(subject).encode())


def write_all(folder: Path, results: Results) -> None:
    """Write the cards of the judged runs of a command, with their test figures.

    Args:
        folder: of the command's results, with the opened ``labels.safetensors`` (none where a few rows were overfit).
        results: what it found.

    Raises:
        DataError, ResourceError: as :func:`write`.
    """
    opened = folder / "labels.safetensors"
    labels = read_arrays(opened)["test.labels"] if opened.is_file() else None
    for run in _judged_runs(folder, results):
        write(run, read_run(run), results, labels)


def addressed(card: str, repository: str) -> str:
    """The card as it reads on the Hub: its lines open the model from there."""
    return card.replace(HERE, f'pipeline("{TASK}", {json.dumps(repository)})')


def _judged_runs(folder: Path, results: Results) -> list[Path]:
    if isinstance(results, TrainingRecord):
        return [folder]
    if isinstance(results, SearchRecord):
        return [folder / "trials" / name for name in results.winner.runs]
    return [folder / "runs" / name for row in results.table if row.kind == "method" for name in row.runs]


def _card(one: Subject) -> str:
    record = one.record
    base = one.base or "a local encoder"
    parts = [
        f"---\n{metadata(one).to_yaml()}\n---",
        f"# {record.name}",
        f"{code(base)} under {one.pooling}, fine-tuned with `{record.spec.method.name}` on {one.data}. "
        f"It answers {'a pair of texts' if record.takes_pairs else 'a text'} with "
        f"{sections.labels(record.labels)}. Made with Welltuned {record.provenance.welltuned}.",
        *sections.use(one),
        *sections.scores(one),
        *sections.alarms(one),
        *sections.training(one),
        *sections.data(one),
        *sections.limits(one),
        *sections.provenance(one),
    ]
    return "\n\n".join(parts) + "\n"

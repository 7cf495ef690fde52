"""From records to something to look at: tables, figures and one HTML file. Never trains, never needs torch.

Read along the way of a report: ``rows`` picks what a record holds, ``format`` writes its numbers, ``figures``
draws on ``canvas``, ``gallery`` chooses the figures, ``page`` composes ``sections`` of ``markup``; ``terminal``
is the short form.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from welltuned import record as records
from welltuned import vault
from welltuned.errors import DataError
from welltuned.record import CapacityRecord, ComparisonRecord, MemoryRecord, RunRecord, TrainingRecord
from welltuned.report import batches, canvas, gallery, page
from welltuned.report.gallery import Picture

_Results = TypeVar("_Results", ComparisonRecord, TrainingRecord)

__all__ = ["draw_batches", "draw_memory", "render"]


def render(folder: Path) -> Path:
    """Write ``figures/*.png`` and ``report.html`` of a comparison or of a single run.

    Args:
        folder: what a finished command wrote: with ``results.json``, or with ``record.json``.

    Returns:
        The path of ``report.html``. Equal records give equal bytes.

    Raises:
        DataError: the folder holds no record, or a damaged one.
        ResourceError: the report cannot be written.
    """
    if (folder / "record.json").is_file():
        content = _render_run(folder, records.read_run(folder))
    elif (folder / "results.json").is_file():
        content = _render_comparison(folder, records.read_comparison(folder))
    else:
        raise DataError(
            "no results to report on",
            where=str(folder),
            why="it holds neither results.json nor record.json" if folder.is_dir() else "there is no such folder",
            mend="name the --out folder of a finished welltuned compare or welltuned train",
        )
    path = folder / "report.html"
    records.write_bytes(path, content.encode(errors="replace"))
    return path


def draw_memory(folder: Path, record: MemoryRecord) -> Path:
    """Write ``figures/memory.png`` of a memory record, and return its path."""
    picture = gallery.of_memory(record)
    return canvas.save(picture.draw(), folder / "figures" / f"{picture.name}.png")


def draw_batches(folder: Path, record: CapacityRecord) -> Path:
    """Write ``figures/batches.png`` of a search for the largest batch, and return its path."""
    return canvas.save(batches.memory_by_rows(record), folder / "figures" / "batches.png")


def _render_comparison(folder: Path, record: ComparisonRecord) -> str:
    record = _with_later_looks(folder, record)
    names = {name for row in record.table for name in row.runs if Path(name).name == name}
    kept = sorted(name for name in names if (folder / "runs" / name / "record.json").is_file())
    runs = {name: records.read_run(folder / "runs" / name) for name in kept}
    return page.comparison_page(record, runs, _draw(folder, gallery.of_comparison(record, runs)))


def _render_run(folder: Path, record: RunRecord) -> str:
    results = None
    if (folder / "results.json").is_file():
        results = _with_later_looks(folder, records.read_record(folder / "results.json", TrainingRecord))
    return page.run_page(record, _draw(folder, gallery.of_run(record, _dev_majority(folder))), results)


def _with_later_looks(folder: Path, record: _Results) -> _Results:
    """The record with every opening of its test rows so far, those after it was written too."""
    seen = vault.looks(folder, record.test_hash) if record.test_hash else []
    if len(seen) <= record.test_openings:
        return record
    return record.model_copy(update={"test_openings": len(seen), "openings": seen})


def _draw(folder: Path, pictures: Sequence[Picture]) -> list[tuple[Picture, bytes]]:
    shown = []
    for picture in pictures:
        png = canvas.png(picture.draw())
        records.write_bytes(folder / "figures" / f"{picture.name}.png", png)
        shown.append((picture, png))
    return shown


def _dev_majority(folder: Path) -> float | None:
    """Share of the most frequent label among the stored dev labels, where they are stored."""
    path = folder / "predictions.safetensors"
    labels = records.read_arrays(path).get("dev.labels") if path.is_file() else None
    if labels is None or labels.size == 0:
        return None
    return float(np.unique(labels, return_counts=True)[1].max() / labels.size)

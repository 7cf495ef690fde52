"""From records to something to look at: tables, figures and one HTML file. Never trains, never needs torch.

Read along the way of a report: ``rows`` picks what a record holds, ``format`` writes its numbers, ``figures``
draws on ``canvas``, ``gallery`` chooses the figures, ``page`` composes ``sections`` of ``markup``; ``terminal``
is the short form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import BaseModel

from welltuned import record as records
from welltuned import vault
from welltuned.errors import DataError
from welltuned.record import (
    CapacityRecord,
    ComparisonRecord,
    MemoryRecord,
    RunRecord,
    SearchRecord,
    TrainingRecord,
)
from welltuned.record.pretraining import PretrainingRecord
from welltuned.report import canvas, gallery, page, pretraining, search_page
from welltuned.report.gallery import Picture
from welltuned.report.sections import Section

__all__ = ["parts", "read", "render"]

_Results = TypeVar("_Results", ComparisonRecord, SearchRecord, TrainingRecord)


def read(folder: Path) -> BaseModel:
    """The record of a finished command, of whichever kind.

    Raises:
        DataError: the folder holds no record, or a damaged one.
    """
    return records.read_record(folder / _kind(folder).file, _kind(folder).record)


def render(folder: Path) -> Path:
    """Write the figures of a finished command's record, and ``report.html`` where the record has a page.

    Args:
        folder: what a finished command wrote: with ``results.json``, or with ``record.json``.

    Returns:
        The path of ``report.html``, or of the figure. Equal records give equal bytes.

    Raises:
        DataError: the folder holds no record, or a damaged one.
        ResourceError: the report cannot be written.
    """
    with records.consistent(folder):
        return _kind(folder).render(folder, read(folder))


def parts(folder: Path) -> list[Section]:
    """What stands on the page of a finished command under its verdict; nothing is written.

    Runs of a comparison whose records are damaged are left out.

    Raises:
        DataError: the folder holds no record that has a page, or a damaged one.
    """
    kind = _kind(folder)
    if kind.parts is None:
        raise DataError("this record has no page", where=str(folder), mend="welltuned report draws its figure")
    return kind.parts(folder, read(folder), _shown)


_Drawer = Callable[[Sequence[Picture]], page.Shown]


class _Kind:
    """What a folder may hold: the file of its record, the record's class, how it is drawn, the parts of its page."""

    def __init__(
        self,
        record: type[BaseModel],
        render: Callable[[Path, Any], Path],
        parts: Callable[[Path, Any, _Drawer], list[Section]] | None = None,
        file: str = "results.json",
    ):
        self.record, self.render, self.parts, self.file = record, render, parts, file


def _kind(folder: Path) -> _Kind:
    kind = "run" if (folder / "record.json").is_file() else records.results_kind(folder)
    if kind not in _KINDS:
        raise DataError(
            "no results to report on",
            where=str(folder),
            why="it holds neither results.json nor record.json" if folder.is_dir() else "there is no such folder",
            mend="name the --out folder of a finished welltuned command",
        )
    return _KINDS[kind]


def _page(folder: Path, content: str) -> Path:
    path = folder / "report.html"
    records.write_bytes(path, content.encode(errors="replace"))
    return path


def _render_search(folder: Path, record: SearchRecord) -> Path:
    record = _with_later_looks(folder, record)
    return _page(folder, search_page.search_page(record, _draw(folder, [search_page.picture(record)])))


def _render_figure(folder: Path, record: MemoryRecord | CapacityRecord) -> Path:
    picture = gallery.of_memory(record) if isinstance(record, MemoryRecord) else gallery.of_capacity(record)
    _draw(folder, [picture])
    return folder / "figures" / f"{picture.name}.png"


def _render_comparison(folder: Path, record: ComparisonRecord) -> Path:
    record, runs = _with_later_looks(folder, record), _runs(folder, record)
    return _page(folder, page.comparison_page(record, runs, _draw(folder, gallery.of_comparison(record, runs))))


def _comparison_parts(folder: Path, record: ComparisonRecord, draw: _Drawer) -> list[Section]:
    record, runs = _with_later_looks(folder, record), _runs(folder, record, damaged_too=False)
    return page.comparison_parts(record, runs, draw(gallery.of_comparison(record, runs)))


def _runs(folder: Path, record: ComparisonRecord, *, damaged_too: bool = True) -> dict[str, RunRecord]:
    """The records of a comparison's runs; ``damaged_too`` raises at one that cannot be read."""
    names = {name for row in record.table for name in row.runs if Path(name).name == name}
    kept = sorted(name for name in names if (folder / "runs" / name / "record.json").is_file())
    runs = {}
    for name in kept:
        try:
            runs[name] = records.read_run(folder / "runs" / name)
        except DataError:
            if damaged_too:
                raise
    return runs


def _render_run(folder: Path, record: RunRecord) -> Path:
    pictures = _draw(folder, gallery.of_run(record, _dev_majority(folder)))
    return _page(folder, page.run_page(record, pictures, _results_of_run(folder)))


def _run_parts(folder: Path, record: RunRecord, draw: _Drawer) -> list[Section]:
    pictures = draw(gallery.of_run(record, _dev_majority(folder)))
    return page.run_parts(record, pictures, _results_of_run(folder))


def _results_of_run(folder: Path) -> TrainingRecord | None:
    if records.results_kind(folder) != "training":
        return None
    return _with_later_looks(folder, records.read_record(folder / "results.json", TrainingRecord))


def _search_parts(folder: Path, record: SearchRecord, draw: _Drawer) -> list[Section]:
    record = _with_later_looks(folder, record)
    return search_page.search_parts(record, draw([search_page.picture(record)]))


def _with_later_looks(folder: Path, record: _Results) -> _Results:
    """The record with every opening of its test rows so far, those after it was written too."""
    seen = vault.looks(folder, record.test_hash) if record.test_hash else []
    if len(seen) <= record.test_openings:
        return record
    return record.model_copy(update={"test_openings": len(seen), "openings": seen})


def _shown(pictures: Sequence[Picture]) -> page.Shown:
    return [(picture, canvas.png(picture.draw())) for picture in pictures]


def _draw(folder: Path, pictures: Sequence[Picture]) -> page.Shown:
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


_KINDS = {
    "run": _Kind(RunRecord, _render_run, _run_parts, "record.json"),
    "comparison": _Kind(ComparisonRecord, _render_comparison, _comparison_parts),
    "search": _Kind(SearchRecord, _render_search, _search_parts),
    "memory": _Kind(MemoryRecord, _render_figure),
    "capacity": _Kind(CapacityRecord, _render_figure),
    "pretraining": _Kind(PretrainingRecord, pretraining.draw),
}

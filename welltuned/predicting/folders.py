"""Which run a folder means."""

from __future__ import annotations

from pathlib import Path

from welltuned.checkpoints import CHECKPOINTS
from welltuned.errors import DataError
from welltuned.opening import below
from welltuned.record import SearchRecord, read_comparison, read_record, results_kind

BEGUN = ("progress.json", "spec.json", CHECKPOINTS)
"""One of these is in a folder in which a run has begun."""
RECORDS = ("record.json", "results.json")
SHOWN = 5
"""Runs named in a mend."""


def run_folder(folder: Path) -> Path:
    """The run that a folder means: itself, the winning run of a comparison, or the chosen one of a search.

    Raises:
        DataError: there is no finished run, or the record names one elsewhere.
    """
    if (folder / "record.json").is_file():
        return folder
    if not (folder / "results.json").is_file():
        raise _nothing_finished(folder)
    kind = results_kind(folder)
    if kind not in ("comparison", "search", None):
        raise DataError(
            f"what is in this folder is of the kind {kind}",
            where=str(folder),
            why="only a run, a comparison and a search have a model that answers",
            mend="name the folder of one of these",
        )
    if kind == "search":
        chosen = read_record(folder / "results.json", SearchRecord).winner.runs[0]
        return below(folder / "trials", chosen)
    record = read_comparison(folder)
    winner = next((row for row in record.table if row.name == record.winner and row.runs), None)
    if winner is None:
        raise DataError(
            "this comparison has no winner to answer with",
            where=str(folder),
            why=record.verdict,
            mend="name one of the folders below its runs/",
        )
    return below(folder / "runs", winner.runs[0])


def _nothing_finished(folder: Path) -> DataError:
    """Why a folder without a record means no run."""
    name = "name the folder that a finished welltuned command wrote"
    if not folder.is_dir():
        why = "it is a file, and a run is a folder" if folder.exists() else "nothing is there"
        return DataError("there is no such folder", where=str(folder), why=why, mend=name)
    if any((folder / begun).exists() for begun in BEGUN):
        return DataError(
            "what is in this folder is not finished",
            where=str(folder),
            why="it has neither record.json nor results.json, which are written last",
            mend="go on with the command that began it, or name a finished run",
        )
    found = (path for depth in ("*", "*/*") for name in RECORDS for path in folder.glob(f"{depth}/{name}"))
    inside = sorted({path.parent.relative_to(folder).as_posix() for path in found})
    why = "it has neither record.json, as a run has, nor results.json, as a comparison or a search has"
    mend = f"name one of those in it: {', '.join(inside[:SHOWN])}" if inside else name
    return DataError("there is no finished run here", where=str(folder), why=why, mend=mend)

"""Which run a folder means."""

from __future__ import annotations

from pathlib import Path

from welltuned.errors import DataError
from welltuned.opening import below
from welltuned.record import SearchRecord, read_comparison, read_record, results_kind


def run_folder(folder: Path) -> Path:
    """The run that a folder means: itself, the winning run of a comparison, or the chosen one of a search.

    Raises:
        DataError: there is no finished run, or the record names one elsewhere.
    """
    if not folder.is_dir():
        raise DataError(
            "there is no such folder", where=str(folder), mend="name the folder that a finished welltuned command wrote"
        )
    if (folder / "record.json").is_file():
        return folder
    if results_kind(folder) == "search":
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

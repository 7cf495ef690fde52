"""The vault: test labels are opened only here, and every opening leaves a line.

Each line of ``vault.jsonl`` says when, for which data, for which frozen selection, and why. Looking at one test
set for a second selection is counted, and every later report of the same folder says so.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from welltuned.data.dataset import Dataset, Labels
from welltuned.errors import ResourceError

LEDGER = "vault.jsonl"


def open_test(dataset: Dataset, folder: Path, selection: str, purpose: str) -> Labels:
    """The test labels [M], once the opening is on disk.

    Args:
        folder: whose ``vault.jsonl`` gets the line.
        selection: identity of what was frozen before (the runs whose scores are about to be seen).
        purpose: why, in words.
    """
    line = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": dataset.name,
        "data_hash": dataset.hash,
        "selection": selection,
        "purpose": purpose,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LEDGER).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ResourceError(
            "cannot log the opening of the test labels, so they stay sealed",
            where=str(folder / LEDGER),
            why=error.strerror,
        ) from error
    return dataset.unseal()


def selections_seen(folder: Path, data_hash: str) -> int:
    """For how many different frozen selections this test set has been opened in this folder; torn lines count."""
    try:
        lines = (folder / LEDGER).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0
    return len({selection for line in lines if (selection := _selection(line, data_hash)) is not None})


def _selection(line: str, data_hash: str) -> str | None:
    """The selection that a line of the ledger is about; the line itself where it is torn."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    return entry["selection"] if entry["data_hash"] == data_hash else None

"""The vault: test labels are opened only here, and every opening leaves a line.

Each line of ``vault.jsonl`` says when, for which data, for which frozen selection, and why. Looking at one test
set for a second selection is counted, and every later report says so.
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
    """For how many different frozen selections this test set has been opened in a folder."""
    try:
        lines = (folder / LEDGER).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0
    entries = [json.loads(line) for line in lines]
    return len({entry["selection"] for entry in entries if entry["data_hash"] == data_hash})

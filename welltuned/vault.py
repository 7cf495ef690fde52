"""The vault: test labels are opened only here, and every opening leaves a line.

Each line of ``vault.jsonl`` says when, for which data, for which frozen selection, and why. Looking at one test set for
a second selection is counted, in this folder and in those beside it, and every later report says so.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from welltuned.data.dataset import Dataset, Labels, Split
from welltuned.data.splits import digest
from welltuned.errors import DataError, ResourceError
from welltuned.opening import bounded
from welltuned.record import ROOM, Opening

LEDGER = "vault.jsonl"


def identity(rows: Split) -> str:
    """SHA-256, in hexadecimal digits, over the texts of test rows, whatever the other splits are."""
    texts = [text for i in range(len(rows)) for text in (rows.text[i], rows.pair[i] if rows.pair is not None else "")]
    return digest(*texts).hex()


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
        "test_hash": identity(dataset.test),
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
            mend=ROOM,
        ) from error
    return dataset.unseal()


def looks(folder: Path, test_hash: str) -> list[Opening]:
    """The first opening of these test rows for each different selection, in this folder and in those beside it.

    A line of this folder's own ledger that does not say of which rows it is counts as an opening of these.
    """
    ledgers = [folder / LEDGER, *sorted(folder.absolute().parent.glob(f"*/{LEDGER}"))]
    found: dict[str, Opening] = {}
    for ledger in ledgers:
        own = ledger.parent.absolute() == folder.absolute()
        for line in _lines(ledger):
            opening = _opening(line, test_hash, "" if own else ledger.parent.name)
            if opening is not None:
                found.setdefault(opening.selection, opening)
    return sorted(found.values(), key=lambda one: one.when)


TORN = "the line is damaged"


def _lines(ledger: Path) -> list[str]:
    try:
        return bounded(ledger).decode(errors="replace").splitlines()
    except (OSError, DataError):
        return []


def _opening(line: str, test_hash: str, folder: str) -> Opening | None:
    """What a line of a ledger says of these rows; None where it is about others."""
    entry: Any = None
    with suppress(ValueError):
        entry = json.loads(line)
    if not isinstance(entry, dict):
        return None if folder else Opening(when="", selection=line, purpose=TORN)
    said = entry.get("test_hash")
    if said != test_hash and (folder or said is not None):
        return None
    when, selection, purpose = (str(entry.get(name, "")) for name in ("when", "selection", "purpose"))
    return Opening(when=when, selection=selection, purpose=purpose, folder=folder)

"""How work tells of itself while it goes on: an observer that does nothing unless a front end gives it a face."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from welltuned.errors import DataError, ResourceError
from welltuned.record import EpochRow, Progress, read_record, write_json
from welltuned.spec import RunSpec

PROGRESS = "progress.json"
SELDOM = 0.5
"""Seconds between two writings at least: epochs may take a millisecond."""


class Observer:
    """Told of stages, steps and epochs; this base keeps silent."""

    def stage(self, title: str, total: int) -> None:
        """A piece of work of ``total`` rows begins."""

    def advance(self, rows: int) -> None:
        """So many rows of the stage are done."""

    def epoch(self, row: EpochRow, epochs: int) -> None:
        """An epoch of ``epochs`` has ended with these figures."""

    def part(self, done: int, total: int, left: float) -> None:
        """So many of the runs or trials of a command are done; about ``left`` seconds of work remain."""

    def say(self, text: str) -> None:
        """A sentence for the user: what was guessed, cut, reused or found."""


class Kept(Observer):
    """Leaves the curve so far in ``progress.json`` of a run's folder for whoever looks on, and hands everything on.

    Nothing depends on that file: where it cannot be written, training goes on without it. A run that is taken up again
    at a later epoch keeps the epochs before.
    """

    def __init__(self, folder: Path, spec: RunSpec, onward: Observer) -> None:
        self._path, self._onward = folder / PROGRESS, onward
        self._earlier = _earlier(self._path, spec)
        self._progress, self._written = Progress(spec=spec), -SELDOM
        self._write()

    def starts_from(self, curve: Sequence[EpochRow]) -> None:
        """The epochs that the run has in common with another, and so does not train itself."""
        if len(curve) > len(self._earlier):
            self._earlier = list(curve)
            self._progress = self._progress.model_copy(update={"curve": self._earlier})
            self._write()

    def stage(self, title: str, total: int) -> None:
        """Handed on."""
        self._onward.stage(title, total)

    def advance(self, rows: int) -> None:
        """Handed on."""
        self._onward.advance(rows)

    def epoch(self, row: EpochRow, epochs: int) -> None:
        """Handed on, and written."""
        self._onward.epoch(row, epochs)
        before = self._progress.curve or self._earlier
        curve = [*(one for one in before if one.epoch < row.epoch), row]
        self._progress = self._progress.model_copy(update={"curve": curve})
        if time.monotonic() - self._written >= SELDOM:
            self._write()

    def part(self, done: int, total: int, left: float) -> None:
        """Handed on."""
        self._onward.part(done, total, left)

    def say(self, text: str) -> None:
        """Handed on."""
        self._onward.say(text)

    def _write(self) -> None:
        if not self._path.parent.is_dir():
            return
        try:
            write_json(self._path, self._progress)
        except ResourceError:
            return
        self._written = time.monotonic()


def _earlier(path: Path, spec: RunSpec) -> list[EpochRow]:
    """The epochs of an earlier try at the same run."""
    try:
        found = read_record(path, Progress)
    except DataError:
        return []
    return found.curve if found.spec == spec else []


def forget(folder: Path) -> None:
    """Drop the progress of a run that has its record now."""
    (folder / PROGRESS).unlink(missing_ok=True)

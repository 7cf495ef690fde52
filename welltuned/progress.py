"""How work tells of itself while it goes on: an observer that does nothing unless a front end gives it a face."""

from __future__ import annotations

from welltuned.record import EpochRow


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

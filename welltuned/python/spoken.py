"""Progress on stderr, a line at a time."""

from __future__ import annotations

import sys

from welltuned.progress import Observer
from welltuned.record import EpochRow
from welltuned.report import format


class Spoken(Observer):
    """Says what goes on; nothing moves on the screen, so that it reads the same in a notebook and in a log."""

    def say(self, text: str) -> None:
        """One line a sentence."""
        print(text, file=sys.stderr, flush=True)

    def epoch(self, row: EpochRow, epochs: int) -> None:
        """One line an epoch."""
        self.say(f"  epoch {row.epoch}/{epochs}: train {row.train_accuracy:.1%}, dev {row.dev_accuracy:.1%}")

    def part(self, done: int, total: int, left: float) -> None:
        """One line a part, with the time left."""
        remaining = f", about {format.duration(left)} left" if done < total else ""
        self.say(f"{done} of {total} done{remaining}")

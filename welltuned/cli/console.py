"""The face of a running command: progress and sentences on stderr, results on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType

from pydantic import BaseModel
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from welltuned.progress import Observer
from welltuned.record import EpochRow
from welltuned.report import format
from welltuned.report.terminal import least_width, stacked

PLAIN = bool(os.environ.get("ACCESSIBLE")) or os.environ.get("TERM") == "dumb"
"""Neither lines are drawn nor is anything moved: for screen readers, and for terminals that can do neither."""
stderr = Console(stderr=True, highlight=False, soft_wrap=True)
stdout = Console(highlight=False, width=None if sys.stdout.isatty() else 100)


class RateColumn(ProgressColumn):
    """Rows a second."""

    def render(self, task: Task) -> Text:
        """Empty until there is a rate."""
        return Text(f"{task.speed:,.0f} rows/s" if task.speed else "")


class ConsoleObserver(Observer):
    """A live bar with rate and time left on a terminal; plain lines elsewhere."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            RateColumn(),
            TextColumn("left"),
            TimeRemainingColumn(compact=True),
            console=stderr,
            transient=True,
            disable=PLAIN or not stderr.is_terminal,
        )
        self._task: TaskID | None = None
        self._started = time.perf_counter()

    def __enter__(self) -> ConsoleObserver:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, title: str, total: int) -> None:
        """Begin a new bar in the place of the last."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(title, total=total)

    def advance(self, rows: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.advance(self._task, rows)

    def epoch(self, row: EpochRow, epochs: int) -> None:
        """One line an epoch."""
        stderr.print(
            f"  epoch {row.epoch}/{epochs}  train {row.train_accuracy:.1%} (loss {row.train_loss:.3f})  "
            f"dev {row.dev_accuracy:.1%} (loss {row.dev_loss:.3f})  {row.seconds:.1f} s"
        )

    def part(self, done: int, total: int, left: float) -> None:
        """One line a part, with the time left."""
        remaining = f", about {format.duration(left)} left" if done < total else ""
        stderr.print(f"{done} of {total} done{remaining}")

    def say(self, text: str) -> None:
        """One line a sentence."""
        stderr.print(Text(text))


def show_all(results: Sequence[BaseModel], as_json: bool, *tables: Table | str) -> None:
    """Several results as :func:`show` shows one; in JSON they are a list."""
    if as_json:
        print(json.dumps([one.model_dump(mode="json") for one in results], indent=2, ensure_ascii=False))
        return
    for table in tables:
        if isinstance(table, Table) and PLAIN:
            table.box = None
        if isinstance(table, Table) and least_width(table) > stdout.width:
            table = stacked(table)
        stdout.print(table, soft_wrap=isinstance(table, str), markup=False)


def show(result: BaseModel, as_json: bool, *tables: Table | str) -> None:
    """The result on stdout: one JSON document, or tables and sentences for people."""
    if as_json:
        print(json.dumps(result.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    show_all([], False, *tables)

"""What a folder of results holds at this moment: records, runs that are still going on, and what cannot be read."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from welltuned import record as records
from welltuned import report
from welltuned.errors import WelltunedError
from welltuned.progress import PROGRESS
from welltuned.record import ComparisonRecord, Progress, RunRecord, SearchRecord
from welltuned.report.page import run_verdict
from welltuned.spec import RunSpec, short_name

RUN_FILES = ("record.json", PROGRESS)
MODEL = Path("model") / "config.json"
Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Going:
    """A run without a record: how far it came, and seconds since it last said so."""

    progress: Progress
    silent: float


@dataclass(frozen=True)
class Line:
    """One configuration with its runs' folders by seed."""

    name: str
    runs: Mapping[int, Path]


@dataclass(frozen=True)
class Contents:
    """A folder of results.

    Attributes:
        results: the record of the finished command, where it is finished; of a run of a comparison its own.
        runs: finished runs by the names of their folders.
        going: runs that have no record yet.
        damaged: what cannot be read, by the name of its file or folder, and why.
    """

    folder: Path
    results: BaseModel | None
    runs: Mapping[str, RunRecord]
    going: Mapping[str, Going]
    damaged: Mapping[str, WelltunedError]

    @property
    def places(self) -> dict[str, Path]:
        """The folder of each run."""
        return {place.name: place for place in run_folders(self.folder)}

    @property
    def data(self) -> str:
        """What is learned, in a word."""
        if isinstance(self.results, ComparisonRecord | SearchRecord):
            return self.results.data
        sources = [short_name(spec.data.source) for spec in self.specs.values()]
        return sources[0] if sources else ""

    @property
    def verdict(self) -> str:
        """What was found, or how far it is."""
        if isinstance(self.results, RunRecord):
            return run_verdict(self.results)
        if self.results is not None and (verdict := getattr(self.results, "verdict", None)):
            return str(verdict)
        finished, going = len(self.runs), len(self.going)
        if not finished and not going:
            return "There is no run here yet."
        left = f", {_many(going, 'run')} under way or broken off" if going else ""
        return f"Not finished: {_many(finished, 'run')} done{left}."

    def lines(self) -> list[Line]:
        """Configurations with their runs: the rows of a finished comparison, else what differs in more than seed."""
        places = self.places
        if isinstance(self.results, ComparisonRecord):
            rows = [(row.name, [name for name in row.runs if name in places]) for row in self.results.table]
            return [Line(name, self._by_seed(runs)) for name, runs in rows if runs]
        specs = self.specs
        groups: dict[str, list[str]] = {}
        for name, spec in specs.items():
            seedless = spec.model_copy(update={"train": spec.train.model_copy(update={"seed": 0})})
            groups.setdefault(seedless.id, []).append(name)
        names = _told_apart([(specs[runs[0]], runs[0]) for runs in groups.values()])
        return [Line(name, self._by_seed(runs)) for name, runs in zip(names, groups.values(), strict=True)]

    @property
    def specs(self) -> dict[str, RunSpec]:
        """What each run is, finished or not."""
        finished = {name: run.spec for name, run in self.runs.items()}
        return finished | {name: one.progress.spec for name, one in self.going.items()}

    def _by_seed(self, names: Iterable[str]) -> dict[int, Path]:
        specs, places = self.specs, self.places
        return {specs[name].train.seed: places[name] for name in names if name in specs}


def _told_apart(firsts: Sequence[tuple[RunSpec, str]]) -> list[str]:
    """A name for each group by its first run: the method, with the model or the run's name where that is needed."""
    names = [spec.method.name for spec, _ in firsts]
    for longer in (
        [f"{spec.method.name} on {short_name(spec.model.name)}" for spec, _ in firsts],
        [name for _, name in firsts],
    ):
        seen = Counter(names)
        names = [name if seen[name] == 1 else more for name, more in zip(names, longer, strict=True)]
    return names


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def shelf(root: Path) -> list[Path]:
    """The folders of results that a folder means: itself, else those in it or in its ``runs/``, the newest first."""
    if _has_results(root):
        return [root]
    found = {place for around in (root, root / "runs") for place in _children(around) if _has_results(place)}
    return sorted(found, key=lambda place: -place.stat().st_mtime) or [root]


def _has_results(folder: Path) -> bool:
    return (folder / "results.json").is_file() or bool(run_folders(folder))


def run_folders(folder: Path) -> list[Path]:
    """The folders of runs, finished or not: this one, or those in its ``runs/`` and ``trials/``."""
    if any((folder / name).is_file() for name in RUN_FILES):
        return [folder]
    inside = [place for part in ("runs", "trials") for place in _children(folder / part)]
    return [place for place in inside if any((place / name).is_file() for name in RUN_FILES)]


def _children(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(place for place in folder.iterdir() if place.is_dir() and not place.name.startswith("."))


def stamp(folder: Path) -> Stamp:
    """Something that changes whenever a record or a progress does."""
    files = [folder / "results.json", *(place / name for place in run_folders(folder) for name in RUN_FILES)]
    found = []
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue
        found.append((str(file), stat.st_mtime_ns, stat.st_size))
    return tuple(found)


def contents(folder: Path) -> Contents:
    """Read everything; what cannot be read is named instead."""
    results: BaseModel | None = None
    runs: dict[str, RunRecord] = {}
    going: dict[str, Going] = {}
    damaged: dict[str, WelltunedError] = {}
    if (folder / "results.json").is_file():
        try:
            results = records.read_record(folder / "results.json", _kind_of(folder))
        except WelltunedError as error:
            damaged["results.json"] = error
    for place in run_folders(folder):
        try:
            if _is_going(place):
                progress = records.read_record(place / PROGRESS, Progress)
                going[place.name] = Going(progress, time.time() - (place / PROGRESS).stat().st_mtime)
            else:
                runs[place.name] = records.read_run(place)
        except (WelltunedError, FileNotFoundError) as error:
            if isinstance(error, WelltunedError) and not _vanished(place):
                damaged[place.name] = error
    if results is None and folder.name in runs and run_folders(folder) == [folder]:
        results = runs[folder.name]
    return Contents(folder, results, runs, going, damaged)


def _vanished(place: Path) -> bool:
    """Whether a run has ended, or gone, between two looks at it."""
    return not any((place / name).is_file() for name in RUN_FILES)


def _is_going(place: Path) -> bool:
    """Whether the progress of a run is newer than its record, if it has one."""
    progress, record = place / PROGRESS, place / "record.json"
    if not progress.is_file() or not record.is_file():
        return progress.is_file()
    return progress.stat().st_mtime > record.stat().st_mtime


def _kind_of(folder: Path) -> type[BaseModel]:
    known: dict[str | None, type[BaseModel]] = {"comparison": ComparisonRecord, "search": SearchRecord}
    kind = records.results_kind(folder)
    if kind == "training":
        return records.TrainingRecord
    return known.get(kind) or type(report.read(folder))

"""The runs that a server answers with, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from welltuned.errors import UsageError
from welltuned.predicting import Predictor, TorchForward
from welltuned.serving.refusals import Refusal, Told, quoted
from welltuned.serving.sharing import Held, TensorPool


@dataclass(frozen=True, eq=False)
class Served:
    """One run under its name; ``held`` tells its bytes in memory, where its tensors are torch's."""

    name: str
    predictor: Predictor
    held: Held | None = None


class Models:
    """Every run served; the first is the one that answers where a request names none."""

    def __init__(self, served: Sequence[Served]) -> None:
        self._served = {one.name: one for one in served}
        self.default = served[0].name

    def __iter__(self) -> Iterator[Served]:
        return iter(self._served.values())

    @property
    def names(self) -> list[str]:
        """The names, the default's first."""
        return list(self._served)

    def find(self, name: str | None) -> Served:
        """The run of this name, or the default.

        Raises:
            Refusal: there is none of this name (422).
        """
        found = self._served.get(self.default if name is None else name)
        if found is None:
            told = Told(
                f"there is no model {quoted(name or '')}",
                where="model",
                why="no run that this server answers with is called so",
                mend=f"choose among {', '.join(self.names)}, or name none",
            )
            raise Refusal(422, told)
        return found


def opened(runs: Sequence[str]) -> Models:
    """Open runs, comparisons (their winners) and searches (their choices); what they have in common is held once.

    Args:
        runs: folders, each as ``FOLDER`` or ``NAME=FOLDER``. Without a name, a run is called by its method, or, where
            several are of one method, by its folder.

    Raises:
        UsageError: two would have one name.
        DataError: there is no finished run, or its model is damaged.
    """
    pool = TensorPool()
    found: list[Served] = []
    for name, folder in map(_parted, runs):
        predictor = Predictor(folder)
        forward = predictor.forward
        held = pool.admit(forward.model) if isinstance(forward, TorchForward) else None
        found.append(Served(name or predictor.record.spec.method.name, predictor, held))
    times = Counter(one.name for one in found)
    unnamed = [not _parted(run)[0] for run in runs]
    served = [
        replace(one, name=one.predictor.folder.name) if alone and times[one.name] > 1 else one
        for one, alone in zip(found, unnamed, strict=True)
    ]
    _require_distinct(served)
    return Models(served)


def _parted(run: str) -> tuple[str | None, Path]:
    name, equals, folder = run.partition("=")
    if not equals or Path(run).exists():
        return None, Path(run)
    if not name or not folder:
        raise UsageError(
            f"{run!r} is neither FOLDER nor NAME=FOLDER",
            where="RUN",
            why="before = stands the name by which requests ask for the run, after it the run's folder",
            mend="write it like best=runs/demo",
        )
    return name, Path(folder)


def _require_distinct(served: Sequence[Served]) -> None:
    name, times = Counter(one.name for one in served).most_common(1)[0]
    if times > 1:
        raise UsageError(
            f"{times} models would be called {name}",
            where="RUN",
            why="a request asks for its model by name",
            mend="give each a name: welltuned serve first=runs/a second=runs/b",
        )

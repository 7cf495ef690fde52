"""A comparison from Python: what ``welltuned compare`` does, as an object to look at."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from welltuned import plan
from welltuned import record as records
from welltuned.comparing import Comparison, Tuning
from welltuned.comparing import compare as compared
from welltuned.data import memory
from welltuned.engine import settle
from welltuned.progress import Observer
from welltuned.python import html, rows
from welltuned.python.classifier import Classifier, labels_of
from welltuned.python.errors import ParameterError, place, told_in_python, whole_numbers, words
from welltuned.python.spoken import Spoken
from welltuned.report import gallery, render
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec
from welltuned.workbench import Workbench

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


class Compared:
    """What a comparison found.

    Attributes:
        folder: of the results; ``report.html`` lies in it.
        record: the record behind everything here.
    """

    def __init__(self, folder: Any) -> None:
        """Open the folder of a finished comparison, whoever made it.

        Raises:
            InputError: there is no finished comparison, or it is damaged.
        """
        with told_in_python():
            self.folder = place(folder, "folder")
            self.record = records.read_comparison(self.folder)

    @property
    def table(self) -> pandas.DataFrame:
        """One line a configuration or baseline: costs, and accuracies with their intervals as shares in [0, 1]."""
        import pandas

        lines = [
            {
                "kind": row.kind,
                "method": row.method,
                "model": row.model,
                "seeds": len(row.seeds),
                "trained_parameters": row.trained_parameters,
                "share": row.share,
                "memory_bytes": row.memory_bytes,
                "seconds": row.seconds,
                **_scores("dev", row.dev),
                **_scores("test", row.test),
                "failure": row.failure,
            }
            for row in self.record.table
        ]
        names = pandas.Index([row.name for row in self.record.table], name="name")
        return pandas.DataFrame(lines, index=names).convert_dtypes()

    @property
    def statements(self) -> pandas.DataFrame:
        """One line a pair: the paired difference, its interval, corrected p-values, and the sentence."""
        import pandas

        return pandas.DataFrame([one.model_dump() for one in self.record.statements])

    @property
    def verdict(self) -> str:
        """The answer in words."""
        return self.record.verdict

    @property
    def winner(self) -> str | None:
        """The line that serves best: the cheapest of those not worse than the best."""
        return self.record.winner

    def plot(self, name: str = "accuracy") -> Figure:
        """One of the report's figures: accuracy, differences, cost, reliability, curves, memory; where there is one.

        Raises:
            ParameterError: there is no such figure.
        """
        runs = {
            run: records.read_run(self.folder / "runs" / run)
            for run in (run for row in self.record.table for run in row.runs)
            if (self.folder / "runs" / run / "record.json").is_file()
        }
        pictures = {one.name: one for one in gallery.of_comparison(self.record, runs)}
        if name not in pictures:
            raise ParameterError(
                f"there is no figure {name!r}",
                where="name",
                why="what these runs hold is drawn under other names",
                mend=f"choose among {', '.join(pictures)}",
            )
        return pictures[name].draw()

    def classifier(self, name: str | None = None) -> Classifier:
        """The first model of a line, ready to answer; the winner's where no name is given.

        Raises:
            ParameterError: there is no such line, or it has no model.
        """
        wanted = self.winner if name is None else name
        runs = next((row.runs for row in self.record.table if row.name == wanted and row.runs), None)
        if runs is None:
            able = ", ".join(row.name for row in self.record.table if row.runs)
            why = self.verdict if name is None else "no line of the table with a model is called so"
            raise ParameterError(f"there is no model of {wanted!r}", where="name", why=why, mend=f"choose among {able}")
        return Classifier.load(self.folder / "runs" / runs[0])

    def __repr__(self) -> str:
        return f"Compared({str(self.folder)!r})\n{self.verdict}"

    def _repr_html_(self) -> str:
        return html.of_record(self.record, f"Methods compared on {self.record.data}")


def _scores(split: str, score: records.Score | None) -> dict[str, float | None]:
    if score is None:
        return {split: None, f"{split}_low": None, f"{split}_high": None}
    return {split: score.accuracy, f"{split}_low": score.low, f"{split}_high": score.high}


def compare(
    data: Any,
    y: Any = None,
    *,
    methods: str | Sequence[str] = "full,head,prefix,lora",
    models: str | Sequence[str] = "minilm",
    seeds: Sequence[int] = (0,),
    head: str = "mean",
    max_length: int = 256,
    trials: int | None = None,
    max_seconds: float | None = None,
    margin: float = 0.01,
    precision: str = "auto",
    engine: str = "fast",
    device: str = "auto",
    folder: Any = None,
    verbose: bool = True,
    source: dict[str, Any] | None = None,
    **training: Any,
) -> Compared:
    """Train every method on every model with every seed, open the test labels once, and judge.

    Args:
        data: a source in words as ``welltuned compare`` takes it, or rows as :meth:`Classifier.fit` does; rows are
            cut into 70% train, 10% dev and 20% test, no passage in two of them.
        y: [N] labels of rows; a Dataset may hold them itself.
        methods: ``NAME[:FIELD=VALUE]...``, a list of them or one string with commas.
        models: aliases, Hub ids or folders.
        seeds: replicates.
        trials, max_seconds: tune each line on dev within this budget before.
        margin: a difference of accuracy under which it does not matter, as a share.
        folder: of the results; else below ``runs/``, where the same call finds it again and goes on.
        source: how a source in words is read, by the fields of :class:`~welltuned.spec.DataSpec`, such as
            ``{"label": "answer", "max_train_samples": 1000}``.
        training: options of training for all, such as ``epochs=2`` or ``batch_size=16``.

    Raises:
        InputError, ParameterError: also ``ValueError``; rows, labels or a parameter cannot be used.
        WelltunedError: of the kind that fits what went wrong.
    """
    with told_in_python():
        if not isinstance(source or {}, dict):
            why = f"it is of type {type(source).__name__}"
            raise ParameterError(
                f"{source!r:.60} is no dict of fields",
                where="source",
                why=why,
                mend='write one, such as {"label": "x"}',
            )
        spec, held = _data(data, y, source or {})
        seconds = None if max_seconds is None else _number(max_seconds, "max_seconds")
        tuning = Tuning(trials=None if trials is None else whole_numbers([trials], "trials")[0], seconds=seconds)
        names, lines = words(models, "models"), words(methods, "methods")
        comparison = Comparison(
            data=spec,
            candidates=plan.candidates(",".join(lines), _known(training)),
            models=[ModelSpec(name=name, head=head, max_length=max_length) for name in names],  # type: ignore[arg-type]
            seeds=whole_numbers(seeds, "seeds"),
            compute=settle(ComputeSpec(precision=precision, engine=engine, device=device)),  # type: ignore[arg-type]
            margin=_number(margin, "margin"),
            tuning=tuning if tuning != Tuning() else None,
        )
        target = place(folder, "folder") if folder is not None else _default(spec, comparison)
        bench = Workbench(Spoken() if verbose else Observer(), held=held)
        compared(comparison, target, bench, f"welltuned.compare({spec.source!r}, methods={','.join(lines)!r})")
        render(target)
        for run in sorted((target / "runs").glob("*/record.json")):
            render(run.parent)
    return Compared(target)


def _default(spec: DataSpec, comparison: Comparison) -> Path:
    return records.default_folder("compare", spec.source, comparison.id)


def _number(value: Any, name: str) -> float:
    if not isinstance(value, Real):
        kind = type(value).__name__
        raise ParameterError(
            f"{value!r:.60} is no number", where=name, why=f"it is of type {kind}", mend="give a number"
        )
    return float(value)


def _known(training: dict[str, Any]) -> dict[str, Any]:
    """Options that are common to all lines; any other name is refused."""
    allowed = Classifier.TRAINING
    if odd := [name for name in training if name not in allowed]:
        raise ParameterError(
            f"there is no parameter {odd[0]!r}",
            where=odd[0],
            why="it is neither one of compare nor an option of training",
            mend=f"options of training are {', '.join(allowed)}",
        )
    return training


def _data(data: Any, y: Any, fields: dict[str, Any]) -> tuple[DataSpec, dict[str, Any]]:
    """The spec of what is compared on, and the rows themselves where they lie in memory."""
    if isinstance(data, str | Path):
        if y is not None:
            raise ParameterError(
                "labels belong to rows, and a source has its own",
                where="y",
                why=f"{str(data)!r:.60} is read as a source in words",
                mend='leave y out; source={"label": "column"} names the column',
            )
        return DataSpec(source=str(data), **fields), {}
    given = rows.read(data)
    labels = labels_of(given, y, "X")
    classes, indices = np.unique(labels, return_inverse=True)
    tables = {"train": given.table("X", indices.tolist(), [str(one) for one in classes.tolist()])}
    address = memory.address(tables)
    return DataSpec(**{**given.columns_of(address), **fields}), {address: memory.source(tables)}

"""Which figures a record supports, each with its caption and a text that stands in for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from welltuned.record import CapacityRecord, ComparisonRecord, Memory, MemoryRecord, RunRecord
from welltuned.report import batches, figures, format, rows

_CURVES = (
    "Accuracy by epoch: train dashed, dev solid, single seeds thin, their mean thick. "
    "Train rising while dev stands or falls is overfitting."
)


@dataclass(frozen=True)
class Picture:
    """A figure to be drawn: its file name without ending, its caption, and its text for who cannot see it."""

    name: str
    caption: str
    alt: str
    draw: Callable[[], Figure]


def of_comparison(record: ComparisonRecord, runs: rows.Runs) -> list[Picture]:
    """Pictures of a comparison, leaving out those for which the folder holds nothing."""
    methods = rows.of_kind(record, "method")
    scored = any(row.dev or row.test for row in methods)
    offered: tuple[tuple[bool, Callable[[], Picture]], ...] = (
        (scored, lambda: _bars(record)),
        (bool(record.statements), lambda: _differences(record)),
        (scored, lambda: _costs(record)),
        (any(row.measures for row in methods), lambda: _reliability(record)),
        (bool(rows.with_curves(record, runs)), lambda: _curves(record, runs)),
        (bool(rows.memories(record, runs)), lambda: _memory(rows.memories(record, runs))),
    )
    return [make() for there, make in offered if there]


def of_run(record: RunRecord, majority: float | None) -> list[Picture]:
    """Pictures of a single run."""
    curve = "; ".join(
        f"epoch {row.epoch}: train {format.percent(row.train_accuracy)}, dev {format.percent(row.dev_accuracy)}"
        for row in record.curve
    )
    lost = record.lost_after_peak
    after = f"After the peak {100 * lost:.1f} points were lost." if lost > 0 else "The last epoch was the best."
    caption = (
        "Accuracy and loss by epoch. Train figures are running means with dropout on, so they lag behind what "
        f"the model of that moment would score. The star is the epoch that was kept. {after}"
    )
    drawings = {record.name: record.memory}
    memory = Picture(
        "memory",
        "Memory of one training step on the longest rows of the run, by part.",
        f"Bar of memory parts. {_parts(record)}",
        lambda: figures.memory_bars(drawings),
    )
    if not record.curve:
        return [memory]
    alt = f"Curves of accuracy and loss. {curve}. Best epoch: {record.best_epoch}."
    return [Picture("curve", caption, alt, lambda: figures.run_curve(record, majority)), memory]


def _bars(record: ComparisonRecord) -> Picture:
    told = "; ".join(
        f"{row.name}: dev {format.percent(row.dev.accuracy if row.dev else None)}, "
        f"test {format.percent(row.test.accuracy if row.test else None)}"
        for row in record.table
        if row.dev or row.test
    )
    caption = (
        "Accuracy of each configuration, beginning at zero, with the interval of each score as a whisker. "
        "A method is worth its cost only where it clears the baselines."
    )
    return Picture("accuracy", caption, f"Bars of accuracy. {told}.", lambda: figures.accuracy_bars(record))


def _differences(record: ComparisonRecord) -> Picture:
    told = "; ".join(
        f"{one.a} minus {one.b}: {format.points(one.difference)} points, "
        f"from {format.points(one.low)} to {format.points(one.high)}"
        for one in record.statements
    )
    caption = (
        "Differences between pairs, over the same items, with their intervals. "
        "An interval that crosses zero leaves open which of the two is better."
    )
    return Picture("differences", caption, f"Paired differences. {told}.", lambda: figures.differences(record))


def _costs(record: ComparisonRecord) -> Picture:
    told = "; ".join(
        f"{row.name}: {format.count(row.trained_parameters)} trained parameters, {format.size(row.memory_bytes)}, "
        f"{format.duration(row.seconds)}"
        for row in rows.of_kind(record, "method")
    )
    caption = (
        "Accuracy against what it costs. Cheaper is further left and better is higher, so the configurations "
        "worth having lie at the upper left."
    )
    return Picture("cost", caption, f"Accuracy against three costs. {told}.", lambda: figures.accuracy_by_cost(record))


def _reliability(record: ComparisonRecord) -> Picture:
    told = "; ".join(
        f"{row.name}: expected calibration error {100 * row.measures.ece:.1f} points"
        for row in rows.of_kind(record, "method")
        if row.measures
    )
    caption = (
        "How often answers of like confidence are right. Below the diagonal a model is surer than it should be; "
        "larger points hold more rows."
    )
    return Picture("reliability", caption, f"Reliability curves. {told}.", lambda: figures.reliability(record))


def _curves(record: ComparisonRecord, runs: rows.Runs) -> Picture:
    told = "; ".join(
        f"{row.name}: best dev accuracy by seed {', '.join(format.percent(run.dev_accuracy) for run in found)}"
        for row, found in rows.with_curves(record, runs)
    )
    return Picture("curves", _CURVES, f"Curves of accuracy. {told}.", lambda: figures.accuracy_by_epoch(record, runs))


def of_curves(data: str, curves: rows.Curves, majority: float | None) -> Picture:
    """Curves that may still grow, one panel a name."""
    told = "; ".join(
        f"{name}: epoch {curve[-1].epoch}, dev {format.percent(curve[-1].dev_accuracy)}"
        for name, seeds in curves.items()
        for curve in seeds
    )
    alt = f"Curves of accuracy so far. {told}."
    return Picture("curves", _CURVES, alt, lambda: figures.curve_panels(data, curves, majority))


def _memory(memories: Mapping[str, Memory]) -> Picture:
    told = "; ".join(f"{name}: {format.size(memory.peak)}" for name, memory in memories.items())
    caption = (
        "Memory of one training step on the longest rows, by part; of several seeds the one with the highest peak."
    )
    return Picture("memory", caption, f"Bars of peak memory. {told}.", lambda: figures.memory_bars(memories))


def of_memory(record: MemoryRecord) -> Picture:
    """The bars of a memory record: each method predicted and, where it was, measured."""
    bars: dict[str, Memory] = {}
    for row in record.rows:
        bars[f"{row.name}, predicted"] = row.predicted
        if row.measured is not None:
            bars[f"{row.name}, measured"] = row.measured
    return _memory(bars)


def of_capacity(record: CapacityRecord) -> Picture:
    """The trials of a search for the largest batch."""
    told = "; ".join(
        f"{row.name}: training {batches.told(row.train)}, evaluation {batches.told(row.evaluation)}"
        for row in record.rows
    )
    caption = "Peak memory of each batch that was tried, and the limit."
    return Picture("batches", caption, f"Largest batches. {told}.", lambda: batches.memory_by_rows(record))


def _parts(record: RunRecord) -> str:
    memory = record.memory
    parts = {
        "weights": memory.weights, "gradients": memory.gradients, "optimizer": memory.optimizer,
        "activations": memory.activations, "peak": memory.peak,
    }  # fmt: skip
    return "; ".join(f"{name}: {format.size(amount)}" for name, amount in parts.items()) + "."

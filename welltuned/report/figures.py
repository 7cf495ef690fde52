"""Figures of a comparison and of a single run: records in, a matplotlib figure out.

Accuracies are drawn in percent. Nothing is computed here beyond means over seeds; intervals and tests come
with the records.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from welltuned.record import ComparisonRecord, EpochRow, Memory, RunRecord, Score, TableRow
from welltuned.report import canvas, format, rows
from welltuned.report.calibration import reliability
from welltuned.report.canvas import DEV, INK, QUIET, TEST, TRAIN, drawn

__all__ = [
    "accuracy_bars", "accuracy_by_cost", "accuracy_by_epoch", "curve_panels", "differences", "memory_bars",
    "reliability", "run_curve", "save",
]  # fmt: skip

DEV_BAR, TEST_BAR = "#CFE1F0", "#6FA3CC"  # light enough for whiskers and baselines to show on them
_PARTS = (
    ("weights", canvas.TEST, ""),
    ("gradients", "#D9822B", "///"),
    ("optimizer", "#5FA38F", "..."),
    ("activations", "#B5D0E8", "\\\\\\"),
)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, atomically; equal figures give equal bytes. See :func:`canvas.save`."""
    return canvas.save(figure, path)


@drawn
def accuracy_by_epoch(record: ComparisonRecord, runs: rows.Runs) -> Figure:
    """Accuracy by epoch, one panel a row of the table: train dashed, dev solid, single seeds thin.

    The mean over seeds is drawn as far as every seed trained.
    """
    curves = {row.name: [run.curve for run in found] for row, found in rows.with_curves(record, runs)}
    return curve_panels(record.data, curves, rows.majority_accuracy(record, "dev"))


@drawn
def curve_panels(data: str, curves: rows.Curves, majority: float | None = None) -> Figure:
    """Accuracy by epoch as in :func:`accuracy_by_epoch`, one panel a name, whether or not training has ended.

    Args:
        data: what was learned.
        curves: by name, one curve a seed.
        majority: accuracy of the most frequent class on dev, drawn where known.
    """
    columns = 1 if len(curves) <= 1 else 2 if len(curves) <= 4 else 3
    lines = max(1, math.ceil(len(curves) / columns))
    figure, axes = canvas.new(f"Accuracy by epoch on {data}", 1.1 + 2.6 * lines, lines, columns, sharey=True)
    for panel, (name, seeds) in zip(axes, curves.items(), strict=False):
        _curves(panel, seeds)
        _majority_line(panel, majority)
        told = "one seed" if len(seeds) == 1 else f"mean of {len(seeds)} seeds"
        panel.set_title(canvas.wrapped(f"{name} ({told})", 84 // columns))
    for panel in axes[len(curves) :]:
        panel.set_axis_off()
    for panel in axes[: len(curves) : columns]:
        panel.set_ylabel("accuracy (%)")
    for panel in axes[max(0, len(curves) - columns) : len(curves)]:
        panel.set_xlabel("epoch")
    canvas.legend_below(figure, 3)
    return figure


def _curves(axes: Axes, curves: Sequence[Sequence[EpochRow]]) -> None:
    """Single seeds thin, their means over the epochs that all of them reached thick."""
    whole = [curve[: min(map(len, curves))] for curve in curves]
    epochs = [row.epoch for row in whole[0]]
    train = [_mean([row.train_accuracy for row in same]) for same in zip(*whole, strict=True)]
    dev = [_mean([row.dev_accuracy for row in same]) for same in zip(*whole, strict=True)]
    if len(curves) > 1:
        for curve in curves:
            x = [row.epoch for row in curve]
            axes.plot(x, [100 * row.train_accuracy for row in curve], "--", color=TRAIN, lw=0.8, alpha=0.55)
            axes.plot(x, [100 * row.dev_accuracy for row in curve], "-", color=DEV, lw=0.8, alpha=0.55)
    axes.plot(epochs, [100 * y for y in train], "s--", color=TRAIN, mfc="white", label="train")
    axes.plot(epochs, [100 * y for y in dev], "o-", color=DEV, label="dev")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def _majority_line(axes: Axes, majority: float | None) -> None:
    if majority is not None:
        label = f"majority class ({format.percent(majority)} of dev)"
        axes.axhline(100 * majority, color=QUIET, lw=1.2, ls=canvas.DASHES[0], label=label, zorder=1)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@drawn
def accuracy_bars(record: ComparisonRecord) -> Figure:
    """Dev and test accuracy side by side with their intervals; baselines as labelled horizontal lines.

    What failed keeps its place, with 0. More than five rows are spread over several panels, one under another, with
    one scale.
    """
    methods = [row for row in record.table if row.kind != "baseline"]
    baselines = rows.of_kind(record, "baseline")
    panels = max(1, math.ceil(len(methods) / 5))
    slots = max(1, math.ceil(len(methods) / panels))
    figure, axes = canvas.new(
        f"Accuracy of each method on {record.data}, with {_level(methods)} intervals", 1.2 + 3.2 * panels, panels
    )
    splits = [split for split in ("dev", "test") if any(_score(row, split) for row in methods)]
    for place, panel in enumerate(axes):
        part = methods[place * slots : (place + 1) * slots]
        for split in splits:
            shift = 0.0 if len(splits) == 1 else -0.2 if split == "dev" else 0.2
            _bars(panel, part, split, shift)
        _failures(panel, part)
        _baseline_labels(
            panel, baselines, rows.scored_split(rows.of_kind(record, "method")), _ceiling([*methods, *baselines])
        )
        _bar_places(panel, part, slots)
        panel.set_ylim(0, _ceiling([*methods, *baselines]))
    canvas.legend_below(figure, 3)
    return figure


def _bar_places(axes: Axes, methods: Sequence[TableRow], slots: int) -> None:
    """Names under the bars; a place for at least three methods, so that a single bar is no wall."""
    spare = max(0, 3 - slots) / 2
    axes.set_xlim(-0.6 - spare, slots - 0.4 + spare)
    axes.set_xticks(range(len(methods)), [canvas.wrapped(row.name, 68 // max(3, slots)) for row in methods])
    axes.tick_params(axis="x", length=0)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("accuracy (%)")


def _bars(axes: Axes, methods: Sequence[TableRow], split: str, shift: float) -> None:
    """The bars of one split at their places, each with its whisker and, above it, its figure."""
    test = split == "test"
    label = split
    for place, row in enumerate(methods):
        score = _score(row, split)
        if score is None:
            continue
        x, y = place + shift, 100 * score.accuracy
        axes.bar(
            x, y, 0.37, label=label, color=TEST_BAR if test else DEV_BAR, edgecolor=DEV,
            hatch=None if test else "///", linewidth=0.8,
        )  # fmt: skip
        axes.errorbar(x, y, yerr=_whisker(score), fmt="none", ecolor=INK, elinewidth=1.3, capsize=3)
        axes.annotate(f"{y:.1f}", (x, 100 * score.high), (0, 3), textcoords="offset points", ha="center", fontsize=9)
        label = "_"


def _failures(axes: Axes, methods: Sequence[TableRow]) -> None:
    """A nought where a bar would stand, and whether it was the memory or something else."""
    for place, row in enumerate(methods):
        if row.kind == "failed":
            why = "does not fit" if "not fit" in (row.failure or "") else "failed"
            axes.annotate(f"0: {why}", (place, 0), (0, 4), textcoords="offset points", ha="center", fontsize=9)


def _baseline_labels(axes: Axes, baselines: Sequence[TableRow], split: str, top: float) -> None:
    """A line across for each baseline with its name at the right edge, names kept apart."""
    scored = [(row, score) for row in baselines if (score := _score(row, split))]
    heights = [100 * score.accuracy for _, score in scored]
    texts = [canvas.wrapped(f"{row.name} {format.percent(score.accuracy)}", 20) for row, score in scored]
    lines = max((text.count("\n") + 1 for text in texts), default=1)
    places = canvas.spread(heights, 5 * lines, top - 3)
    for (height, text, place), dashes in zip(
        zip(heights, texts, places, strict=True), cycle(canvas.DASHES), strict=False
    ):
        axes.axhline(height, color=INK, lw=1.2, ls=dashes, zorder=3)
        axes.annotate(
            text, (1.0, height), (1.025, place), xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(), va="center", fontsize=9, color=INK, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": QUIET, "lw": 0.8, "shrinkA": 1, "shrinkB": 0},
        )  # fmt: skip


def _score(row: TableRow, split: str) -> Score | None:
    return row.test if split == "test" else row.dev


def _whisker(score: Score) -> list[list[float]]:
    below, above = score.accuracy - score.low, score.high - score.accuracy
    return [[100 * max(0.0, below)], [100 * max(0.0, above)]]


def _level(table: Sequence[TableRow]) -> str:
    return format.level(next((score for row in table for score in (row.test, row.dev) if score), None))


def _ceiling(table: Sequence[TableRow]) -> float:
    """The top of the accuracy axis: room above the highest whisker for its figure."""
    highest = max((100 * score.high for row in table for score in (row.dev, row.test) if score), default=100)
    return min(108.0, highest + 8)


@drawn
def accuracy_by_cost(record: ComparisonRecord) -> Figure:
    """Accuracy against trained parameters, peak memory and training time, one panel each."""
    methods = rows.of_kind(record, "method")
    split = rows.scored_split(methods)
    figure, axes = canvas.new(
        f"What {split} accuracy costs on {record.data}, with {_level(methods)} intervals", 3.7, 1, 3, sharey=True
    )
    costs = (
        ("trained parameters", "trained parameters (log scale)", 1),
        ("peak memory", "peak memory (MiB)", format.MIB),
        ("training time", "training time of one seed (s)", 1),
    )
    for panel, (title, label, unit) in zip(axes, costs, strict=True):
        _cost_points(panel, methods, split, title, unit)
        _baseline_lines(panel, rows.of_kind(record, "baseline"), split)
        panel.set_title(title)
        panel.set_xlabel(label)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format.compact(x)))
    _log_axis(axes[0], [row.trained_parameters for row in methods if row.trained_parameters])
    for panel in axes[1:]:
        panel.margins(x=0.12)
        panel.set_xlim(left=0)
        panel.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes[0].set_ylabel(f"{split} accuracy (%)")
    canvas.legend_below(figure, 3)
    return figure


def _cost_points(axes: Axes, methods: Sequence[TableRow], split: str, cost: str, unit: int) -> None:
    """One point a row with its interval; a row without this cost keeps its place in the legend only."""
    marks = zip(methods, cycle(canvas.PALETTE), cycle(canvas.MARKERS), strict=False)
    for row, colour, marker in marks:
        costs = {
            "trained parameters": row.trained_parameters or None,
            "peak memory": row.memory_bytes,
            "training time": row.seconds,
        }
        amount, score = costs[cost], _score(row, split)
        known = amount is not None and score is not None
        axes.errorbar(
            [amount / unit] if known and amount is not None else [],
            [100 * score.accuracy] if known and score is not None else [],
            yerr=_whisker(score) if known and score is not None else None,
            fmt=marker, color=colour, mec="white", mew=0.6, ms=8, elinewidth=1.2, capsize=2.5,
            label=canvas.wrapped(row.name, 30),
        )  # fmt: skip


def _baseline_lines(axes: Axes, baselines: Sequence[TableRow], split: str) -> None:
    scored = [(row, score) for row in baselines if (score := _score(row, split))]
    for (row, score), dashes in zip(scored, cycle(canvas.DASHES), strict=False):
        axes.axhline(100 * score.accuracy, color=QUIET, lw=1.3, ls=dashes, label=canvas.wrapped(row.name, 30), zorder=1)


def _log_axis(axes: Axes, amounts: Sequence[int]) -> None:
    """Decades for ticks, and room for a whole decade at least."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: format.compact(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if amounts:
        axes.set_xlim(min(amounts) / 3, max(amounts) * 3)


@drawn
def memory_bars(memories: Mapping[str, Memory]) -> Figure:
    """Memory of one training step by part; a line across and the number beside it are the peak.

    The peak is less than the sum where parts do not stand at one time: gradients come as activations go.
    """
    names = [canvas.wrapped(name, 28) for name in memories]
    figure, (axes,) = canvas.new("Memory of one training step, by part", 1.7 + _lines_height(names))
    left = [0.0] * len(memories)
    for part, colour, hatch in _PARTS:
        sizes = [getattr(memory, part) / format.MIB for memory in memories.values()]
        axes.barh(
            range(len(memories)), sizes, 0.62, left=left, label=part, color=colour, hatch=hatch,
            edgecolor="white" if part == "weights" else INK, linewidth=0.6,
        )  # fmt: skip
        left = [start + length for start, length in zip(left, sizes, strict=True)]
    for place, (end, memory) in enumerate(zip(left, memories.values(), strict=True)):
        axes.plot([memory.peak / format.MIB] * 2, [place - 0.38, place + 0.38], color=INK, lw=2.2, zorder=4)
        axes.annotate(
            format.size(memory.peak), (max(end, memory.peak / format.MIB), place), (5, 0),
            textcoords="offset points", va="center", fontsize=9.5,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(memories), 1) - 0.45, -0.55)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.14)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    axes.set_xlabel("memory (MiB); the line across is the peak")
    canvas.legend_below(figure, len(_PARTS))
    return figure


def _lines_height(names: Sequence[str]) -> float:
    """Inches that named lines, one under another, need so that no name runs into the next."""
    deepest = max((name.count("\n") + 1 for name in names), default=1)
    return max(1, len(names)) * max(0.5, 0.18 * deepest + 0.14)


@drawn
def differences(record: ComparisonRecord) -> Figure:
    """Paired differences in accuracy with their intervals; filled where Holm's p is below 0.05."""
    statements = record.statements
    title = f"Paired differences in accuracy on {record.data}"
    names = [canvas.wrapped(f"{one.a} minus {one.b}", 40) for one in statements]
    figure, (axes,) = canvas.new(title, 1.5 + _lines_height(names))
    axes.axvline(0, color=INK, lw=1)
    for place, statement in enumerate(statements):
        found = statement.p_holm < 0.05
        low, middle, high = (100 * x for x in (statement.low, statement.difference, statement.high))
        axes.plot([low, high], [place, place], color=DEV if found else QUIET, lw=2, solid_capstyle="butt")
        axes.plot(middle, place, "o", ms=7, color=DEV if found else QUIET, mfc=DEV if found else "white")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(max(len(statements), 1) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("difference (percentage points); filled: Holm-corrected p below 0.05")
    return figure


@drawn
def run_curve(record: RunRecord, majority: float | None = None) -> Figure:
    """Accuracy and loss of one run by epoch, the best epoch marked, and what was lost after it.

    Args:
        record: the run.
        majority: accuracy of the most frequent class on dev, drawn where known.
    """
    figure, (accuracy, loss) = canvas.new(f"Training of {record.name}", 3.9, 1, 2)
    epochs = [row.epoch for row in record.curve]
    for axes, field, factor in ((accuracy, "accuracy", 100), (loss, "loss", 1)):
        train = [factor * getattr(row, f"train_{field}") for row in record.curve]
        dev = [factor * getattr(row, f"dev_{field}") for row in record.curve]
        axes.plot(epochs, train, "s--", color=TRAIN, mfc="white", label="train")
        axes.plot(epochs, dev, "o-", color=DEV, label="dev")
        if not any(map(math.isfinite, [*train, *dev])):
            axes.text(0.5, 0.5, f"no finite {field}", transform=axes.transAxes, ha="center", color=QUIET)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    accuracy.set_ylabel("accuracy (%)")
    loss.set_ylabel("mean cross-entropy (nats)")
    loss.set_title("loss")
    _majority_line(accuracy, majority)
    _mark_best(record, accuracy, loss)
    lost = record.lost_after_peak
    accuracy.set_title(f"accuracy: {100 * lost:.1f} points lost after the peak" if lost > 0 else "accuracy")
    canvas.legend_below(figure, 4)
    return figure


def _mark_best(record: RunRecord, accuracy: Axes, loss: Axes) -> None:
    best = next((row for row in record.curve if row.epoch == record.best_epoch), None)
    if best is None:
        return
    label = f"best epoch: {best.epoch}"
    for axes, height in ((accuracy, 100 * best.dev_accuracy), (loss, best.dev_loss)):
        axes.axvline(best.epoch, color=QUIET, lw=0.9, ls=canvas.DASHES[1], zorder=1)
        axes.plot(best.epoch, height, "*", ms=15, color=TEST, mec="white", mew=0.8, label=label, zorder=4)

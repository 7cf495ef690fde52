"""The figure of the largest batch: what processes took, what was predicted, and the limit."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from welltuned.record import CapacityPart, CapacityRecord, TrialRow
from welltuned.report import canvas, format
from welltuned.report.canvas import DEV, INK, QUIET, TRAIN, drawn


@drawn
def memory_by_rows(record: CapacityRecord) -> Figure:
    """Peak memory against rows: trials that fit filled, those that do not as crosses, the prediction dashed.

    One line of panels a method, training on the left, evaluation on the right.
    """
    title = f"Largest batch on {record.data} under {format.size(record.limit)}"
    figure, axes = canvas.new(title, 1.2 + 2.5 * len(record.rows), len(record.rows), 2)
    for place, row in enumerate(record.rows):
        for panel, part, name in ((axes[2 * place], row.train, "training"), (axes[2 * place + 1], row.evaluation,
                                                                             "evaluation")):  # fmt: skip
            _panel(panel, part, record.limit)
            panel.set_title(canvas.wrapped(f"{row.name}, {name}: {told(part)}", 46))
            panel.set_xlabel(f"rows of {part.tokens} tokens")
        axes[2 * place].set_ylabel("peak of the process (MiB)")
    canvas.legend_below(figure, 4)
    return figure


def _panel(axes: Axes, part: CapacityPart, limit: int) -> None:
    ordered = sorted(part.trials, key=lambda trial: trial.rows)
    fitting = [trial for trial in ordered if trial.fits]
    beyond = [trial for trial in ordered if not trial.fits]
    predicted = [(trial.predicted + part.overhead) / format.MIB for trial in ordered]
    axes.plot([t.rows for t in ordered], predicted, "--", color=TRAIN, lw=1.3, label="predicted", zorder=2)
    axes.plot([t.rows for t in fitting], _heights(fitting, limit), "o", color=DEV, label="fits", zorder=3)
    axes.plot([t.rows for t in beyond], _heights(beyond, limit), "x", color=INK, mew=1.8, ms=7,
              label="does not fit", zorder=4)  # fmt: skip
    axes.axhline(limit / format.MIB, color=QUIET, lw=1.2, ls=canvas.DASHES[0], label="limit", zorder=1)
    axes.set_ylim(0, 1.25 * max(limit / format.MIB, *predicted[:1]))
    axes.set_xlim(0, 1.12 * max(trial.rows for trial in ordered))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))


def _heights(trials: Sequence[TrialRow], limit: int) -> list[float]:
    """MiB; a trial that was stopped stands at the limit that it passed."""
    return [(limit if trial.peak is None else trial.peak) / format.MIB for trial in trials]


def told(part: CapacityPart) -> str:
    """``57 rows``, ``all 600 rows``, or that not one fits."""
    if part.largest == 0:
        return "does not fit at any batch"
    return f"all {part.rows:,} rows fit" if part.largest == part.rows else f"{part.largest:,} rows"

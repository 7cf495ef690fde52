"""How sure a model is beside how often it is right: the curve of reliability."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from welltuned.record import ComparisonRecord, Measures
from welltuned.report import canvas
from welltuned.report.canvas import DEV, QUIET, drawn


@drawn
def reliability(record: ComparisonRecord) -> Figure:
    """Share of right answers against confidence on the test rows, over all seeds, one panel a configuration."""
    shown = [row for row in record.table if row.measures is not None and row.kind == "method"]
    columns = min(3, max(1, len(shown)))
    lines = max(1, math.ceil(len(shown) / columns))
    figure, axes = canvas.new(
        f"Reliability on {record.data}", 1.1 + 2.6 * lines, lines, columns, sharex=True, sharey=True
    )
    for panel, row in zip(axes, shown, strict=False):
        assert row.measures is not None
        _reliability(panel, row.measures)
        panel.set_title(canvas.wrapped(f"{row.name}: ECE {100 * row.measures.ece:.1f} points", 84 // columns))
    for panel in axes[len(shown) :]:
        panel.set_axis_off()
    for panel in axes[: len(shown) : columns]:
        panel.set_ylabel("right (%)")
    for panel in axes[max(0, len(shown) - columns) : len(shown)]:
        panel.set_xlabel("confidence (%)")
        panel.tick_params(labelbottom=True)
    canvas.legend_below(figure, 2)
    return figure


def _reliability(axes: Axes, one: Measures) -> None:
    """The curve, its points as large as their share of rows, and the line of perfect calibration."""
    x, y = ([100 * share for share in shares] for shares in (one.confidence, one.accuracy))
    axes.plot([0, 100], [0, 100], ls=canvas.DASHES[1], color=QUIET, lw=1.2, label="as sure as right", zorder=1)
    axes.plot(x, y, color=DEV, lw=1.4, zorder=2)
    sizes = [12 + 160 * count / sum(one.count) for count in one.count]
    axes.scatter(x, y, s=sizes, color=DEV, edgecolor="white", label="rows of like confidence", zorder=3)
    axes.set_xlim(max(0.0, min(x) - 8), 102)
    axes.set_ylim(0, 105)

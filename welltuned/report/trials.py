"""The figure of a search: dev accuracy over what was varied, the chosen trial marked.

Two hyperparameters on a grid make a heat map; anything else one panel a hyperparameter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from welltuned.record import SearchRecord, SearchTrial
from welltuned.report import canvas, format
from welltuned.report.canvas import DEV, INK, QUIET, TEST, drawn

MOST_TICKS = 8
LOG_FROM = 10


@drawn
def dev_by_hyperparameters(record: SearchRecord) -> Figure:
    """Dev accuracy of every trial."""
    fields = list(record.space)
    if len(fields) == 2 and record.sampler == "grid":
        return _heat_map(record, fields[0], fields[1])
    return _panels(record, fields)


def shown(value: Any) -> str:
    """A value as ticks and tables write it."""
    if isinstance(value, float):
        return f"{value:g}"
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def title(record: SearchRecord) -> str:
    """What was searched on what."""
    seeds = "one seed" if len(record.seeds) == 1 else f"mean of {len(record.seeds)} seeds"
    return f"Dev accuracy by hyperparameters: {record.method} on {record.model}, {record.data} ({seeds})"


def _values(record: SearchRecord, name: str) -> list[Any]:
    """The different values of a hyperparameter, in order where they have one."""
    found = list(dict.fromkeys(map(_hashable, (one.values[name] for one in record.trials))))
    return sorted(found) if all(isinstance(value, int | float) for value in found) else found


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _heat_map(record: SearchRecord, down: str, across: str) -> Figure:
    rows, columns = _values(record, down), _values(record, across)
    figure, (axes,) = canvas.new(title(record), 2.0 + 0.62 * len(rows))
    cells = [[math.nan] * len(columns) for _ in rows]
    for one in record.trials:
        y, x = rows.index(_hashable(one.values[down])), columns.index(_hashable(one.values[across]))
        cells[y][x] = math.nan if one.dev is None else 100 * one.dev
        if one.number == record.chosen:
            best = (y, x)
    known = [cell for row in cells for cell in row if not math.isnan(cell)]
    low, high = min(known), max(*known, min(known) + 1)
    image = axes.imshow(cells, cmap="cividis", aspect="auto", vmin=low, vmax=high)
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            _cell(axes, (x, y), cell, (cell - low) / (high - low), (y, x) == best)
    for width, colour in ((5.0, "white"), (2.2, INK)):
        axes.add_patch(
            Rectangle((best[1] - 0.47, best[0] - 0.46), 0.94, 0.92, fill=False, edgecolor=colour, lw=width, zorder=4)
        )
    axes.set_xticks(range(len(columns)), [shown(value) for value in columns])
    axes.set_yticks(range(len(rows)), [shown(value) for value in rows])
    axes.set_xlabel(across)
    axes.set_ylabel(down)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.set_title("★ and frame: chosen on dev")
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("dev accuracy (%)")
    bar.outline.set_visible(False)
    return figure


def _cell(axes: Axes, at: tuple[int, int], percent: float, height: float, chosen: bool) -> None:
    """The figure in a cell, white on the dark half of the scale; a cell without one is hatched."""
    x, y = at
    if math.isnan(percent):
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="///", edgecolor=QUIET, lw=0))
    text = "failed" if math.isnan(percent) else format.percent(percent / 100)
    axes.text(
        x, y, f"★ {text}" if chosen else text, ha="center", va="center", fontsize=11,
        color="white" if height < 0.55 else INK, weight="bold" if chosen else "normal",
    )  # fmt: skip


def _panels(record: SearchRecord, fields: Sequence[str]) -> Figure:
    columns = 2 if len(fields) == 4 else min(3, len(fields))
    lines = math.ceil(len(fields) / columns)
    figure, axes = canvas.new(title(record), 1.3 + 2.8 * lines, lines, columns, sharey=True)
    for panel, name in zip(axes, fields, strict=False):
        _panel(panel, record, name)
    for panel in axes[len(fields) :]:
        panel.set_axis_off()
    for panel in axes[: len(fields) : columns]:
        panel.set_ylabel("dev accuracy (%)")
    canvas.legend_below(figure, 4)
    return figure


def _panel(axes: Axes, record: SearchRecord, name: str) -> None:
    values = _values(record, name)
    numbers = all(isinstance(value, int | float) for value in values)
    place = (lambda one: one.values[name]) if numbers else (lambda one: values.index(_hashable(one.values[name])))
    finished = [one for one in record.trials if one.is_whole]
    axes.plot([place(one) for one in finished for _ in one.dev_by_seed],
              [100 * accuracy for one in finished for accuracy in one.dev_by_seed],
              "o", ms=4, color=DEV, alpha=0.45, mew=0, label="one seed", zorder=2)  # fmt: skip
    if len(record.seeds) > 1:
        axes.plot([place(one) for one in finished], [100 * (one.dev or 0) for one in finished], "o", ms=7,
                  mfc="white", color=DEV, label="mean of seeds", zorder=3)  # fmt: skip
    chosen = record.winner
    axes.plot(place(chosen), 100 * (chosen.dev or 0), "*", ms=15, color=TEST, mec="white", mew=0.8,
              label="chosen on dev", zorder=4)  # fmt: skip
    for at, one in enumerate(one for one in record.trials if one.dev is None):
        axes.plot(place(one), 0.02, "x", color=INK, transform=axes.get_xaxis_transform(),
                  label="failed" if at == 0 else "_", clip_on=False)  # fmt: skip
    axes.axhline(100 * record.majority["dev"], color=QUIET, lw=1.2, ls=canvas.DASHES[0], zorder=1,
                 label=f"majority class ({format.percent(record.majority['dev'])} of dev)")  # fmt: skip
    axes.set_xlabel(name)
    _ticks(axes, values, numbers)


def _ticks(axes: Axes, values: Sequence[Any], numbers: bool) -> None:
    """Every value that was tried, where there are few; a logarithmic axis where they lie far apart."""
    if not numbers:
        axes.set_xticks(range(len(values)), [shown(value) for value in values])
        axes.margins(x=0.15)
        return
    if min(values) > 0 and max(values) / min(values) >= LOG_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    if len(values) <= MOST_TICKS // 2:
        axes.xaxis.set_major_locator(FixedLocator(list(values)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def described(record: SearchRecord) -> str:
    """The figure in words, for who cannot see it."""
    return f"Dev accuracy of {len(record.trials)} trials. " + "; ".join(map(_described, record.trials))


def _described(one: SearchTrial) -> str:
    values = ", ".join(f"{name} {shown(value)}" for name, value in one.values.items())
    end = f", {format.given_up(one)}" if one.given_up is not None else ""
    return f"{values}: {format.percent(one.dev) if one.dev is not None else 'failed'}{end}"

"""The look the laboratory's figures share: legible in colour, in grey and on a printed page."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#000000", "#AA4499", "#56B4E9")  # Okabe & Ito 2008, mostly
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 2)))
_HATCHES = ("", "///", "...", "xx", "\\\\\\", "++")


def panels(columns: int, *, rows: int = 1, width: float = 5.0, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    """A figure of rows x columns axes on its own Agg canvas, row by row; sizes in inches an axis."""
    figure = Figure(figsize=(width * columns, height * rows), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]


def png(figure: Figure) -> bytes:
    """The figure as PNG, without date or program name: equal figures, equal bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a script the font lacks shows as boxes
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def style(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of the index-th line, told apart by any one of the three."""
    i = index % len(_COLOURS)
    return {"color": _COLOURS[i], "marker": _MARKERS[i], "linestyle": _DASHES[i], "markersize": 5}


def bar_style(index: int) -> dict[str, Any]:
    """Colour and hatch of the index-th group of bars."""
    i = index % len(_COLOURS)
    return {"color": _COLOURS[i], "hatch": _HATCHES[i], "edgecolor": "white", "linewidth": 0.5}


def label(axes: Axes, *, title: str, x: str, y: str) -> None:
    """Title and axis labels, and a light grid under the data."""
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.title.set_fontsize(10.5)
    axes.grid(visible=True, color="0.88", linewidth=0.7)
    axes.set_axisbelow(True)


def grid(
    axes: Axes,
    cells: Tensor,
    *,
    text: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    low: float,
    high: float,
) -> None:
    """A grey-scale table of cells [R, C], each with its text; dark cells carry white letters."""
    axes.imshow(np.asarray(cells), cmap="Greys", vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    dark = low + 0.62 * (high - low)  # where white letters begin to stand out better than black ones
    for r, line in enumerate(text):
        for c, word in enumerate(line):
            ink = "white" if float(cells[r, c]) > dark else "black"
            axes.text(c, r, word, ha="center", va="center", fontsize=8.5, color=ink)

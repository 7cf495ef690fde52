"""The drawing surface of every figure: one look, no global state, and PNG files that depend on nothing else.

Colours are after Okabe and Ito (2008), so that people with any colour vision tell them apart; markers, dashes
and hatches say the same in black and white.
"""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec

from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from welltuned.record import write_bytes

INK, QUIET, GRID = "#22303C", "#5B6874", "#E3E7EB"
TRAIN, DEV, TEST = "#C4741A", "#2F7DB8", "#17324D"
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#8A6100", "#56B4E9", "#4D4D4D")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ((0, (1, 1.5)), (0, (5, 2)), (0, (5, 2, 1, 2)), (0, (8, 3)))
WIDTH = 8.0  # inches; the page shows a figure about so wide that 10 pt read as body text

_P = ParamSpec("_P")
_LOOK: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.7,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.9,
    "lines.markersize": 5,
    "figure.titlesize": 12.5,
    "figure.titleweight": "bold",
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.1,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.wspace": 0.04,
    "figure.constrained_layout.hspace": 0.04,
    "axes.facecolor": "white",
}


def drawn(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw with the house look, whatever the user's own matplotlib settings are."""

    @wraps(draw)
    def in_style(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with style.context(_LOOK, after_reset=True):
            return draw(*args, **kwargs)

    return in_style


def new(title: str, height: float, rows: int = 1, columns: int = 1, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of the common width with its title and a grid of ``rows * columns`` axes, row by row."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(wrapped(title, 78), x=0.012, horizontalalignment="left")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    return figure, list(axes.flat)


def legend_below(figure: Figure, columns: int) -> None:
    """Put one legend for all axes under the figure, which grows by what the legend takes."""
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if not handles:
        return
    lines = math.ceil(len(handles) / columns) * max(label.count("\n") + 1 for label in handles)
    figure.set_figheight(figure.get_figheight() + 0.21 * (lines - 1))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=columns, handlelength=2.8)


def wrapped(text: str, width: int, lines: int = 4) -> str:
    """A label in at most so many lines of at most ``width`` characters, its end left out where it is longer.

    Unprintable characters become spaces.
    """
    clean = "".join(sign if sign.isprintable() else " " for sign in text)
    return textwrap.fill(clean, width, max_lines=lines, placeholder=" …") or "(no name)"


def spread(positions: Sequence[float], gap: float, top: float) -> list[float]:
    """Move labels apart until neighbours are ``gap`` apart, keeping their order.

    Returns:
        The new positions in the order of ``positions``: upwards from the lowest, and all of them lower where
        the highest would rise above ``top``. Labels that cannot all stand below ``top`` come closer together.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    gap = min(gap, top / max(1, len(positions)))
    placed = list(positions)
    for below, above in pairwise(order):
        placed[above] = max(placed[above], placed[below] + gap)
    excess = max(0.0, max(placed, default=top) - top)
    return [place - excess for place in placed]


def png(figure: Figure) -> bytes:
    """The figure as PNG at 150 dots an inch, without date or program name: equal figures, equal bytes."""
    buffer = io.BytesIO()
    with style.context(_LOOK, after_reset=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a script the font lacks shows as boxes
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> Path:
    """Write the figure as PNG, whole or not at all.

    Raises:
        ResourceError: the file cannot be written.
    """
    write_bytes(path, png(figure))
    return path

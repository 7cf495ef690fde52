import io
import math
import subprocess
import sys

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest
from made_records import make_run

from welltuned.report import canvas, figures, rows

DRAWINGS = {
    "accuracy_by_epoch": lambda record, runs: figures.accuracy_by_epoch(record, runs),
    "accuracy_bars": lambda record, runs: figures.accuracy_bars(record),
    "accuracy_by_cost": lambda record, runs: figures.accuracy_by_cost(record),
    "memory_bars": lambda record, runs: figures.memory_bars(rows.memories(record, runs)),
    "differences": lambda record, runs: figures.differences(record),
    "run_curve": lambda record, runs: figures.run_curve(next(iter(runs.values())), 0.62),
}
drawings = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS.keys())


def texts(figure):
    return [text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_text()]


@drawings
def test_equal_inputs_give_equal_bytes_whatever_the_users_settings(draw, comparison, runs):
    first = canvas.png(draw(comparison, runs))
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "lines.linewidth": 9, "savefig.dpi": 20}):
        assert canvas.png(draw(comparison, runs)) == first


@drawings
def test_png_holds_no_metadata_but_its_resolution(draw, comparison, runs, tmp_path):
    path = figures.save(draw(comparison, runs), tmp_path / "new" / "figure.png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert b"tEXt" not in content
    assert b"tIME" not in content
    assert [item.name for item in path.parent.iterdir()] == ["figure.png"]
    assert mpl.image.imread(io.BytesIO(content), format="png").shape[1] == canvas.WIDTH * 150


@drawings
def test_a_figure_stands_alone(draw, comparison, runs):
    figure = draw(comparison, runs)
    assert figure.get_suptitle()
    shown = [axes for axes in figure.axes if axes.axison]
    assert shown[-1].get_xlabel() or shown[-1].get_xticklabels()
    assert shown[0].get_ylabel() or shown[0].get_yticklabels()


@drawings
def test_odd_names_are_drawn_as_they_are(draw, comparison, runs):
    name = "a $very_{odd}$ name \\frac <b>日本</b> " * 3
    for row in comparison.table:
        row.name = name + row.name
    comparison.data = name
    for run in runs.values():
        run.name = name
    assert canvas.png(draw(comparison, runs))


@drawings
def test_nothing_to_show_is_no_error(draw, comparison, runs):
    comparison.table, comparison.statements, comparison.class_shares = [], [], {}
    for run in runs.values():
        run.curve, run.best_epoch = [], 0
    assert canvas.png(draw(comparison, runs))


@drawings
def test_many_rows_still_fit(draw, comparison, runs):
    comparison.table = [
        row.model_copy(update={"name": f"{row.name} with rank {rank} on a-long-organisation/encoder-large"})
        for rank in (2, 4, 8, 16)
        for row in comparison.table
    ]
    comparison.statements = comparison.statements * 8
    assert canvas.png(draw(comparison, runs))


def test_bars_have_the_heights_of_the_record(comparison):
    figure = figures.accuracy_bars(comparison)
    heights = sorted(bar.get_height() for bar in figure.axes[0].patches)
    methods = rows.of_kind(comparison, "method")
    expected = sorted(100 * score.accuracy for row in methods for score in (row.dev, row.test))
    assert heights == pytest.approx(expected)
    assert figure.axes[0].get_ylim()[0] == 0
    assert any("majority class 61.7%" in text.replace("\n", " ") for text in texts(figure))


def test_more_than_five_methods_take_several_panels(comparison):
    comparison.table = comparison.table[:4] * 3
    figure = figures.accuracy_bars(comparison)
    assert len(figure.axes) == 3
    assert sum(len(axes.patches) for axes in figure.axes) == 24


def test_mean_curve_stops_where_the_first_seed_stopped(comparison, runs):
    lora = comparison.table[1]
    short, whole = (runs[name] for name in lora.runs)
    short.curve = short.curve[:3]
    comparison.table = [lora]
    axes = figures.accuracy_by_epoch(comparison, runs).axes[0]
    dev = next(line for line in axes.lines if line.get_label() == "dev")
    means = [50 * (a.dev_accuracy + b.dev_accuracy) for a, b in zip(short.curve, whole.curve, strict=False)]
    assert list(dev.get_xdata()) == [1, 2, 3]
    assert list(dev.get_ydata()) == pytest.approx(means)
    assert len(axes.lines) == 2 + 4 + 1  # two means, two seeds on two splits, the majority class


def test_one_panel_a_row_that_has_runs(comparison, runs):
    gone = comparison.table[0].runs
    figure = figures.accuracy_by_epoch(comparison, {name: run for name, run in runs.items() if name not in gone})
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == [f"{name} on minilm (mean of 2 seeds)" for name in ("lora", "prefix", "head")]


def test_run_curve_marks_the_best_epoch_and_what_was_lost(runs):
    run = next(iter(runs.values()))
    run.curve[3].dev_accuracy, run.curve[-1].dev_accuracy, run.best_epoch = 0.91, 0.875, 4
    figure = figures.run_curve(run)
    assert "3.5 points lost after the peak" in figure.axes[0].get_title(loc="left")
    assert "best epoch: 4" in texts(figure)


def test_loss_that_is_not_finite_is_told(runs):
    run = next(iter(runs.values()))
    for row in run.curve:
        row.train_loss, row.dev_loss = math.nan, math.inf
    assert "no finite loss" in texts(figures.run_curve(run))


def test_memory_parts_add_up(comparison, runs):
    memories = rows.memories(comparison, runs)
    bars = figures.memory_bars(memories).axes[0].patches
    ends = [max(bar.get_x() + bar.get_width() for bar in bars[place::4]) for place in range(4)]
    assert np.multiply(ends, 1024**2) == pytest.approx([memory.peak for memory in memories.values()])


def test_points_lie_at_their_costs(comparison):
    axes = figures.accuracy_by_cost(comparison).axes
    places = {
        container.get_label(): [float(panel.containers[index].lines[0].get_xdata()[0]) for panel in axes]
        for index, container in enumerate(axes[0].containers)
    }
    lora = comparison.table[1]
    assert places[lora.name] == pytest.approx([148_226, lora.memory_bytes / 1024**2, 171.2])
    assert axes[0].get_xscale() == "log"


def test_significant_differences_are_filled(comparison):
    axes = figures.differences(comparison).axes[0]
    fills = [line.get_markerfacecolor() for line in axes.lines if line.get_marker() == "o"]
    assert fills == ["white", canvas.DEV]


@pytest.mark.parametrize(
    ("positions", "gap", "top", "expected"),
    [
        ([], 1, 9, []),
        ([3.0], 1, 9, [3.0]),
        ([5.0, 1.0], 2, 9, [5.0, 1.0]),
        ([1.5, 1.0, 1.2], 1, 9, [3.0, 1.0, 2.0]),
        ([8.5, 8.0], 2, 9, [9.0, 7.0]),
        ([4.0, 4.0, 4.0], 9, 6, [2.0, 4.0, 6.0]),
    ],
)
def test_labels_are_spread_below_the_top(positions, gap, top, expected):
    assert canvas.spread(positions, gap, top) == pytest.approx(expected)


def test_the_global_plotting_interface_is_not_loaded():
    code = "import sys, welltuned.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_curves_of_runs_that_have_not_ended_stand_in_panels_of_their_own():
    curve = make_run().curve
    axes = figures.curve_panels("yesno", {"lora": [curve[:3], curve[:2]], "head": [curve[:1]]}).axes
    assert [panel.get_title(loc="left") for panel in axes] == ["lora (mean of 2 seeds)", "head (one seed)"]
    assert max(max(line.get_xdata()) for line in axes[0].lines) == 3

"""The second tab: curves by epoch, drawn again whenever a training has written of itself."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from welltuned.app import turns
from welltuned.app.folder import Contents, Going, Line, Stamp, contents, stamp
from welltuned.app.markup import framed, note, told
from welltuned.app.quiet import QUIET, gr, html
from welltuned.record import ComparisonRecord, EpochRow, RunRecord
from welltuned.report import canvas, format, gallery, markup, rows, sections
from welltuned.report.markup import Column, Group, element, join

ALL = "all configurations"
EVERY = 2.0
"""Seconds between two looks into the folder."""
MOST = 12
"""Configurations in one drawing at most."""
STILL = 120.0
"""Seconds of silence that are no sign of a stop where an epoch takes no longer."""


def tab(results: Any, opened: Any) -> None:
    """Lay out the tab, filled when the page opens and whenever something new is in the folder.

    Args:
        results: the menu of folders.
        opened: Gradio's event of the page's opening.
    """
    choice = gr.Dropdown([ALL], value=ALL, label="Show", interactive=True, elem_id="curves-choice")
    state = html(elem_id="curves-state")
    drawing = html(elem_id="curves-drawing")
    seen = gr.State(())
    timer = gr.Timer(EVERY)

    def fill(folder: str, asked: str, before: Any) -> tuple[Any, str, Any, Any]:
        names = [ALL, *run_names(folder)]
        asked = asked if asked in names else ALL
        now = (folder, asked, stamp(Path(folder)))
        drawn = gr.skip() if now == before else draw(folder, asked)
        menu = gr.skip() if before and before[0] == folder and now[2] == before[2] else gr.Dropdown(names, value=asked)
        return menu, standing(folder), drawn, now

    events = [opened, timer.tick, choice.input, results.change]
    gr.on(events, fill, [results, choice, seen], [choice, state, drawing, seen], **QUIET)


def run_names(folder: str) -> list[str]:
    """Every run that has an epoch to show."""
    found = contents(Path(folder))
    finished = [name for name, run in found.runs.items() if run.curve]
    return [*(name for name, one in found.going.items() if one.progress.curve), *finished]


@told
def standing(folder: str) -> str:
    """How far each run is that has not finished."""
    found = contents(Path(folder))
    if not found.going:
        finished = f"{len(found.runs)} finished; no" if found.runs else "No"
        return framed(element("p", f"{finished} training is under way here.", class_="quiet"))
    columns = [Column("run"), Column("epoch", numeric=True), Column("train", numeric=True),
               Column("dev", numeric=True), Column("last heard of")]  # fmt: skip
    lines = [_line(name, one) for name, one in found.going.items()]
    return framed(markup.table("Under way", columns, Group(lines)))


def _line(name: str, one: Going) -> list[str]:
    curve, epochs = one.progress.curve, one.progress.spec.train.epochs
    ago = f"{format.duration(max(0.0, one.silent))} ago"
    if one.silent > max(STILL, 3 * max((row.seconds for row in curve), default=0.0)):
        ago += "; it may have been stopped: the same command goes on with it"
    if not curve:
        return [name, f"0 of {epochs}", format.MISSING, format.MISSING, ago]
    last = curve[-1]
    return [name, f"{last.epoch} of {epochs}", format.percent(last.train_accuracy),
            format.percent(last.dev_accuracy), ago]  # fmt: skip


@told
def draw(folder: str, asked: str = ALL) -> str:
    """The curves of all configurations, or of one run with its losses."""
    place = Path(folder)
    return _drawn(place, asked, stamp(place))


@lru_cache(maxsize=8)
def _drawn(folder: Path, asked: str, now: Stamp) -> str:  # noqa: ARG001
    found = contents(folder)
    if asked in found.runs:
        picture = gallery.of_run(found.runs[asked], None)[0]
    else:
        only = found.going[asked].progress.curve if asked in found.going else None
        curves = {asked: [only]} if only else _curves(found)
        if not curves:
            return framed(
                note("There is no curve yet", "The first point is drawn when the first epoch of a training ends.")
            )
        picture = gallery.of_curves(found.data, dict(list(curves.items())[:MOST]), _majority(found))
    more = [] if asked != ALL else _left_out(found)
    with turns.drawing:
        png = canvas.png(picture.draw())
    return framed(join([sections.figure(picture, png), *more]))


def _left_out(found: Contents) -> list[str]:
    left = len(_curves(found)) - MOST
    return [element("p", f"{left} more can be chosen above, one by one.", class_="quiet")] if left > 0 else []


def _curves(found: Contents) -> dict[str, list[list[EpochRow]]]:
    curves = {line.name: _of(found, line) for line in found.lines()}
    return {name: seeds for name, seeds in curves.items() if seeds}


def _of(found: Contents, line: Line) -> list[list[EpochRow]]:
    each = [_curve(found, place.name) for place in line.runs.values()]
    return [curve for curve in each if curve]


def _curve(found: Contents, name: str) -> list[EpochRow]:
    run: RunRecord | None = found.runs.get(name)
    return run.curve if run is not None else found.going[name].progress.curve if name in found.going else []


def _majority(found: Contents) -> float | None:
    record = found.results
    return rows.majority_accuracy(record, "dev") if isinstance(record, ComparisonRecord) else None

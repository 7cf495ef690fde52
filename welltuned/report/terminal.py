"""Tables for the terminal: at most 100 columns, plain words, nothing said by colour alone."""

from __future__ import annotations

from functools import singledispatch

from pydantic import BaseModel
from rich import box
from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text

from welltuned.record import (
    Alarm,
    CapacityPart,
    CapacityRecord,
    ComparisonRecord,
    Memory,
    MemoryRecord,
    RunRecord,
    SearchRecord,
    SearchTrial,
    TableRow,
)
from welltuned.record.pretraining import PretrainingRecord
from welltuned.report import format, rows, trials
from welltuned.report.pretraining import curve_table

WIDTH = 98


@singledispatch
def told(record: BaseModel) -> list[Table | str]:
    """A record as tables and sentences, in their order."""
    raise NotImplementedError(f"nothing is said of a {type(record).__name__}")


@told.register
def _(record: ComparisonRecord) -> list[Table | str]:
    return [comparison_table(record), f"budget: {record.budget}", "", *alarm_lines(record), record.verdict]


@told.register
def _(record: SearchRecord) -> list[Table | str]:
    return [search_table(record), "", record.verdict, *record.advice]


@told.register
def _(record: MemoryRecord) -> list[Table | str]:
    formulas = (f"{row.name}: activations take {row.formula} bytes (B rows, T tokens)" for row in record.rows)
    return [memory_table(record), "", *formulas]


@told.register
def _(record: CapacityRecord) -> list[Table | str]:
    return [capacity_table(record)]


@told.register
def _(record: PretrainingRecord) -> list[Table | str]:
    return [curve_table(record), "", record.verdict]


@told.register
def _(record: RunRecord) -> list[Table | str]:
    return [run_table(record)]


def search_table(record: SearchRecord) -> Table:
    """Every trial in the order of its dev accuracy, the chosen one marked, failed ones last."""
    seeds = "one seed" if len(record.seeds) == 1 else f"mean of {len(record.seeds)} seeds"
    table = Table(
        title=Text(_plain(f"Trials of {record.method} on {record.model}, {record.data} ({seeds})")),
        title_justify="left", title_style="bold", box=box.HORIZONTALS, pad_edge=False, padding=(0, 1, 0, 0),
        show_edge=False,
    )  # fmt: skip
    table.add_column("trial", justify="right")
    for name in record.space:
        table.add_column(Text(_plain(name)), justify="right", overflow="fold")
    for head in ("dev\naccuracy", "dev\nloss", "best\nepoch", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("")
    for one in sorted(record.trials, key=lambda one: (one.number != record.chosen, -(one.dev or -1), one.number)):
        values = [Text(_plain(trials.shown(one.values[name]))) for name in record.space]
        table.add_row(str(one.number + 1), *values, *_trial_cells(one), _mark(record, one))
    return table


def _trial_cells(one: SearchTrial) -> list[str]:
    epochs = ", ".join(map(str, one.best_epochs)) or format.MISSING
    seconds = format.seconds(one.seconds) if one.dev is not None else format.MISSING
    return [format.percent(one.dev), format.number(one.dev_loss), epochs, seconds]


def _mark(record: SearchRecord, one: SearchTrial) -> Text:
    if one.number == record.chosen:
        return Text("chosen")
    if one.given_up is not None:
        return Text(format.given_up(one))
    return Text("" if one.failure is None else _plain(f"failed: {one.failure}"))


def comparison_table(record: ComparisonRecord) -> Table:
    """A comparison in rows: methods, then baselines, then what failed; why it failed stands underneath."""
    table = _comparison_head(record)
    shown: str | None = None
    names = zip(rows.method_names(record), rows.model_names(record), record.table, strict=True)
    for name, model, row in names:
        if shown not in (None, row.kind):
            table.add_section()
        shown = row.kind
        table.add_row(*(Text(_plain(cell)) for cell in _cells(name, model, row)))
    return table


def _comparison_head(record: ComparisonRecord) -> Table:
    level = format.level(next((s for row in record.table for s in (row.test, row.dev) if s), None))
    failures = [
        f"{row.name} failed: {row.failure or 'no reason was recorded'}" for row in rows.of_kind(record, "failed")
    ]
    table = Table(
        title=Text(_plain(f"Methods compared on {record.data}")), title_justify="left", title_style="bold",
        caption=Text("\n".join(map(_plain, failures))) if failures else None,
        caption_justify="left", caption_style="", box=box.HORIZONTALS, pad_edge=False,
        padding=(0, 1, 0, 0), show_edge=False,
    )  # fmt: skip
    table.add_column("method", min_width=6, max_width=20, overflow="fold")
    table.add_column("model", min_width=6, max_width=13, overflow="fold")
    for head in ("trained\nparameters", "trained\nshare", "memory\npeak MiB", "seconds", "dev\naccuracy"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column(f"test accuracy\n({level} interval)", justify="right", no_wrap=True)
    return table


def _cells(name: str, model: str | None, row: TableRow) -> list[str]:
    test = f"{format.percent(row.test.accuracy)} ({format.interval(row.test)})" if row.test else format.MISSING
    return [
        name,
        model or format.MISSING,
        format.count(row.trained_parameters),
        format.percent(row.share, 2),
        format.mebibytes(row.memory_bytes),
        format.seconds(row.seconds),
        format.percent(row.dev.accuracy if row.dev else None),
        "failed" if row.kind == "failed" else test,
    ]


def alarm_lines(record: ComparisonRecord) -> list[str]:
    """Every alarm with what it concerns and how to mend it, one a line."""
    return [alarm_line(one, name) for name, one in rows.alarms(record, {})]


def alarm_line(alarm: Alarm, name: str = "") -> str:
    """What was seen, why it may be so, and how to mend it."""
    about = f"{name}: " if name else ""
    return _plain(f"alarm: {about}{alarm.what}; likely cause: {alarm.cause}; to mend it: {alarm.mend}")


def memory_table(record: MemoryRecord) -> Table:
    """The peak of each phase of a step and what it is made of, in MiB; measured figures stand under predicted ones."""
    first = record.rows[0].predicted
    table = Table(
        title=Text(f"Memory of one training step on {first.rows} rows of {first.tokens} tokens, in MiB"),
        title_justify="left", title_style="bold", box=box.HORIZONTALS, pad_edge=False, padding=(0, 1, 0, 0),
        show_edge=False,
    )  # fmt: skip
    table.add_column("method", max_width=20, overflow="fold")
    table.add_column("how")
    for head in ("weights", "gradi-\nents", "opti-\nmizer", "activa-\ntions", "peak in\nforward", "peak in\nbackward",
                 "peak in\nstep"):  # fmt: skip
        table.add_column(head, justify="right", no_wrap=True)
    for row in record.rows:
        table.add_row(Text(_plain(row.name)), "predicted", *_memory_cells(row.predicted))
        if row.measured is not None:
            table.add_row("", f"measured ({row.off:+.1%})", *_memory_cells(row.measured))
    return table


def _memory_cells(memory: Memory) -> list[str]:
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations,
             memory.forward, memory.backward, memory.step)  # fmt: skip
    return [format.mebibytes(part) for part in parts]


def capacity_table(record: CapacityRecord) -> Table:
    """The largest batches, predicted and found, with the process's peak there; why it ends there stands beside."""
    table = Table(
        title=Text(f"Largest batch on {record.data} under {format.size(record.limit)} ({record.limit_told})"),
        title_justify="left", title_style="bold", box=box.HORIZONTALS, pad_edge=False, padding=(0, 1, 0, 0),
        show_edge=False,
    )  # fmt: skip
    table.add_column("method", max_width=20, overflow="fold")
    table.add_column("part")
    for head in ("tokens\na row", "predicted\nrows", "largest\nbatch", "peak\nMiB"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("why no larger", overflow="fold")
    for row in record.rows:
        for name, part in (("training", row.train), ("evaluation", row.evaluation)):
            table.add_row(
                Text(_plain(row.name)), name, format.count(part.tokens), format.count(part.predicted),
                format.count(part.largest), format.mebibytes(part.peak), _end(part),
            )  # fmt: skip
    return table


def _end(part: CapacityPart) -> str:
    if part.largest == part.rows:
        return "the data have no more rows"
    if part.largest == 0:
        return "does not fit at any batch"
    return f"{part.largest + 1:,} rows did not fit"


def run_table(record: RunRecord) -> Table:
    """A single run in pairs of name and value."""
    table = Table(
        title=Text(_plain(record.name)), title_justify="left", title_style="bold", box=None, show_header=False,
        pad_edge=False, padding=(0, 1),
    )  # fmt: skip
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=WIDTH - 22)
    for name, value in _facts(record):
        table.add_row(Text(name), Text(_plain(value)))
    return table


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    share = record.trained_parameters / record.all_parameters if record.all_parameters else None
    lost = record.lost_after_peak
    cut = ", ".join(f"{split} {format.percent(one.share)}" for split, one in record.truncation.items() if one.cut)
    facts = [
        ("data", record.spec.data.source),
        ("rows", ", ".join(f"{split} {format.count(size)}" for split, size in record.rows.items())),
        ("method", record.spec.method.name),
        ("model", record.spec.model.name),
        ("seed", str(record.spec.train.seed)),
        ("dev accuracy", format.percent(record.dev_accuracy)),
        ("best epoch", f"{record.best_epoch} of {len(record.curve)} trained"),
        ("lost after the peak", f"{100 * lost:.1f} points"),
        ("trained parameters", f"{format.count(record.trained_parameters)} ({format.percent(share, 2)} of all)"),
        ("peak memory", format.size(record.memory.peak)),
        ("training time", format.duration(rows.training_seconds(record))),
        ("rows cut short", cut or "none"),
    ]
    if record.utilisation is not None:
        facts.insert(-1, ("steps used", format.utilisation(record.utilisation)))
    return facts + [("alarm", f"{one.what}; to mend it: {one.mend}") for one in record.alarms]


def utilisation_lines(record: RunRecord) -> list[str]:
    """What the steps used of the machine, in one sentence, where the record tells it."""
    if record.utilisation is None:
        return []
    return [f"steps used {format.utilisation(record.utilisation)} (model FLOP utilisation)"]


def least_width(table: Table) -> int:
    """Columns of a terminal without which cells of the table would be cut off."""
    return sum(_least(column) + 1 for column in table.columns)


def _least(column: Column) -> int:
    lines = [line for cell in (column.header, *column.cells) for line in str(cell).splitlines()]
    parts = lines if column.no_wrap else [word for line in lines for word in line.split()]
    widest = max(map(cell_len, parts), default=0)
    return widest if column.max_width is None else min(widest, column.max_width)


def stacked(table: Table) -> str:
    """A table for who has no room for it: row by row, each with the names of its columns and what stands there."""
    title = [] if table.title is None else [str(table.title)]
    names = [" ".join(str(column.header).replace("-\n", "").split()) for column in table.columns]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    told = [
        "\n".join(
            f"{'  ' if at else ''}{name}: {cell}" if at and name else f"{'  ' if at else ''}{cell}"
            for at, (name, cell) in enumerate(zip(names, map(str, row), strict=True))
            if cell
        )
        for row in rows
    ]
    caption = [] if table.caption is None else [str(table.caption)]
    return "\n\n".join([*title, *told, *caption])


def _plain(text: str) -> str:
    """Text without control characters, so that a label cannot steer the terminal."""
    return "".join(sign if sign.isprintable() else " " for sign in text)

import io
import re

import pytest
from rich.console import Console

from welltuned.record import Alarm, Utilisation
from welltuned.report.terminal import comparison_table, least_width, run_table, stacked, utilisation_lines


def printed(table, width=100, **kwargs):
    stream = io.StringIO()
    Console(file=stream, width=width, **kwargs).print(table)
    return stream.getvalue()


def line_of(text, beginning):
    return next(line for line in text.splitlines() if line.startswith(beginning))


def test_rows_say_cost_and_accuracy_with_interval(comparison):
    line = line_of(printed(comparison_table(comparison)), "lora")
    assert line.split() == [
        "lora", "minilm", "148,226", "0.65%", "649", "171", "72.2%", "71.1%", "(69.0", "to", "73.1)",
    ]  # fmt: skip


def test_baselines_and_failures_stand_apart(comparison):
    text = printed(comparison_table(comparison))
    lines = text.splitlines()
    rules = [place for place, line in enumerate(lines) if line.startswith("─")]
    starts = ("head", "majority", "full  .*bert-large", "full on bert-large failed")
    places = [next(i for i, line in enumerate(lines) if re.match(start, line)) for start in starts]
    assert len(rules) == 3
    assert places[0] < rules[1] < places[1] < rules[2] < places[2] < places[3]
    assert lines[places[2]].rstrip().endswith("failed")
    assert "full on bert-large failed: needs about 6.1 GiB" in lines[places[3]]


def test_fits_a_hundred_columns_and_cuts_nothing(comparison):
    for row in comparison.table:
        row.model, row.trained_parameters = "an-organisation/an-encoder-of-a-long-name", 1_234_567_890
    text = printed(comparison_table(comparison))
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text


def test_without_room_every_figure_stands_by_its_column(comparison):
    text = stacked(comparison_table(comparison))
    row = next(part for part in text.split("\n\n") if part.startswith("lora"))
    assert row.splitlines()[1:] == [
        "  model: minilm", "  trained parameters: 148,226", "  trained share: 0.65%", "  memory peak MiB: 649",
        "  seconds: 171", "  dev accuracy: 72.2%", "  test accuracy (95% interval): 71.1% (69.0 to 73.1)",
    ]  # fmt: skip
    assert "full on bert-large failed: needs about 6.1 GiB" in text.split("\n\n")[-1]


def test_a_table_has_room_from_its_least_width_on(comparison):
    table = comparison_table(comparison)
    assert 40 < least_width(table) <= 100
    assert "…" not in printed(table, least_width(table))
    assert "…" in printed(table, least_width(table) - 20)


def test_no_escape_codes_without_terminal_or_with_no_color(comparison, monkeypatch):
    assert "\x1b" not in printed(comparison_table(comparison))
    monkeypatch.setenv("NO_COLOR", "1")
    coloured = printed(comparison_table(comparison), force_terminal=True)
    assert "\x1b[3" not in coloured.replace("\x1b[3m", "")


def test_names_are_text_and_cannot_steer_the_terminal(comparison):
    comparison.table[0].method = "[red]full[/red]\x1b[2J"
    text = printed(comparison_table(comparison))
    assert "\x1b" not in text
    assert "[red]full[/red]" in text.replace("\n", "")


def test_missing_parts_read_as_words(comparison):
    comparison.table[0].test = comparison.table[0].memory_bytes = comparison.table[0].seconds = None
    assert line_of(printed(comparison_table(comparison)), "full").split()[-1] == "n/a"
    comparison.table = []
    assert "Methods compared" in printed(comparison_table(comparison))


@pytest.mark.parametrize("width", [100, 60])
def test_a_run_in_short(runs, width):
    run = next(run for run in runs.values() if run.spec.method.name == "lora")
    run.alarms.append(Alarm(kind="x", what="one class only", cause="c", mend="lower the rate"))
    text = printed(run_table(run), width)
    assert "148,226 (0.65% of all)" in text
    assert "648.7 MiB" in text
    assert "one class only" in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (2.0, "steps used 52% of what the machine's matrix products allow (model FLOP utilisation)"),
        (1e4, "steps used <1% of what the machine's matrix products allow (model FLOP utilisation)"),
        (1.0, "steps used 104% of what the machine's matrix products allow; they were measured while it was busier "
         "than in training (model FLOP utilisation)"),
    ],
)  # fmt: skip
def test_what_steps_used_of_the_machine(runs, seconds, told):
    run = next(iter(runs.values()))
    assert utilisation_lines(run) == []
    assert "steps used" not in printed(run_table(run))
    run.utilisation = Utilisation(flop=1_040_000_000_000, seconds=seconds, ceiling=1e12)
    assert utilisation_lines(run) == [told]
    assert "steps used" in printed(run_table(run))

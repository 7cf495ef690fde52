"""The figure, page and table of a search."""

from __future__ import annotations

from pathlib import Path

import pytest

from welltuned import record as records
from welltuned.record import SearchRecord
from welltuned.report import canvas, read, render, terminal, trials

from .test_terminal import printed


def texts(record: SearchRecord) -> list[str]:
    return [text.get_text() for axes in trials.dev_by_hyperparameters(record).axes for text in axes.texts]


def test_a_grid_of_two_is_a_heat_map_with_the_choice_marked(found: SearchRecord) -> None:
    assert texts(found) == ["70.0%", "71.0%", "72.0%", "73.0%", "★ 74.0%", "failed"]
    axes = trials.dev_by_hyperparameters(found).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0.0001", "0.0005", "0.001"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["7", "9"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("lr", "epochs")


def test_anything_else_is_a_panel_a_hyperparameter(found: SearchRecord) -> None:
    found.sampler = "tpe"
    figure = trials.dev_by_hyperparameters(found)
    assert [axes.get_xlabel() for axes in figure.axes] == ["lr", "epochs"]
    assert figure.axes[0].get_xscale() == "log"
    star = next(line for line in figure.axes[0].lines if line.get_label() == "chosen on dev")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (1e-3, pytest.approx(74))


def test_names_and_lists_are_values_too(found: SearchRecord) -> None:
    for one in found.trials:
        one.values = {"lr": ["query", "value"] if one.values["lr"] < 5e-4 else ["query"], "epochs": 7}
    found.sampler = "random"
    labels = trials.dev_by_hyperparameters(found).axes[0].get_xticklabels()
    assert [label.get_text() for label in labels] == ["query+value", "query"]
    assert canvas.png(trials.dev_by_hyperparameters(found)).startswith(b"\x89PNG")


def test_the_page_says_the_choice_and_every_trial(found: SearchRecord, tmp_path: Path) -> None:
    records.write_json(tmp_path / "results.json", found)
    page = render(tmp_path)
    assert page == tmp_path / "report.html"
    text = page.read_text(encoding="utf-8")
    for said in ("5 (chosen)", "failed: not finite at step 3", "largest that was tried", "opened once", found.command):
        assert said in text
    assert (tmp_path / "figures" / "search.png").is_file()
    assert read(tmp_path) == found


def test_what_random_trials_are_worth_is_told_where_it_is_known(found: SearchRecord, tmp_path: Path) -> None:
    records.write_json(tmp_path / "results.json", found)
    assert "Dodge" not in render(tmp_path).read_text(encoding="utf-8")
    found.best_after = [records.BestAfter(trials=1, value=0.72, low=0.70, high=0.74)]
    records.write_json(tmp_path / "results.json", found)
    assert "72.0%" in render(tmp_path).read_text(encoding="utf-8")


def test_the_table_has_the_choice_first_and_failures_last(found: SearchRecord) -> None:
    table, *_ = terminal.told(found)
    lines = [line for line in printed(table).splitlines() if line.strip() and line.strip()[0].isdigit()]
    assert [int(line.split()[0]) for line in lines] == [5, 4, 3, 2, 1, 6]
    assert lines[0].rstrip().endswith("chosen")
    assert "failed: not finite at step 3" in lines[-1]
    assert found.advice[0] in terminal.told(found)

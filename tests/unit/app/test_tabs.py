"""What the tabs show, as HTML, of folders of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the extra app is not installed")

from made_records import make_comparison, make_run, make_search, write_comparison, write_run

from welltuned.app import comparison, curves, markup
from welltuned.errors import DataError
from welltuned.progress import PROGRESS
from welltuned.record import Progress, write_json


def test_a_comparison_is_shown_with_its_verdict_and_every_part(tmp_path: Path) -> None:
    record = make_comparison()
    write_comparison(tmp_path, record)
    shown = comparison.shown(str(tmp_path))
    for part in (record.verdict, "Paired differences", "Accuracy against three costs", "Trained parameters by part",
                 "Memory of one training step"):  # fmt: skip
        assert part in shown, part
    assert shown.count("<img") >= 5


def test_a_search_and_a_single_run_are_shown(tmp_path: Path) -> None:
    record = make_search()
    write_json(tmp_path / "search" / "results.json", record)
    assert record.verdict in comparison.shown(str(tmp_path / "search"))
    write_run(tmp_path / "run", make_run())
    assert "The run in short" in comparison.shown(str(tmp_path / "run"))


def test_names_that_hold_markup_are_text(tmp_path: Path) -> None:
    record = make_comparison()
    evil = record.model_copy(update={"verdict": "<script>alert(1)</script>"})
    write_comparison(tmp_path, evil)
    assert "<script" not in comparison.shown(str(tmp_path))


def test_curves_of_all_and_of_one_run(tmp_path: Path) -> None:
    done, under_way = make_run("full"), make_run("lora")
    write_run(tmp_path / "runs" / done.name, done)
    write_json(tmp_path / "runs" / under_way.name / PROGRESS, Progress(spec=under_way.spec, curve=under_way.curve[:2]))
    assert curves.run_names(str(tmp_path)) == [under_way.name, done.name]
    everything = curves.draw(str(tmp_path))
    assert "full: epoch 7" in everything
    assert "lora: epoch 2" in everything
    assert "Best epoch" in curves.draw(str(tmp_path), done.name)
    assert "full" not in curves.draw(str(tmp_path), under_way.name).split("alt=")[1].split(">")[0]
    assert "2 of 7" in curves.standing(str(tmp_path))


def test_an_error_is_told_with_its_mend_and_an_unforeseen_one_too(capsys: pytest.CaptureFixture[str]) -> None:
    def fails(error: Exception) -> str:
        raise error

    ours = markup.told(fails)(DataError("it is <b>so</b>", where="here", why="why", mend="mend"))
    assert "it is &lt;b&gt;so&lt;/b&gt;" in ours
    assert "To mend it: mend" in ours
    other = markup.told(fails)(ZeroDivisionError("division"))
    assert "this did not work: ZeroDivisionError" in other
    assert "ZeroDivisionError" in capsys.readouterr().err

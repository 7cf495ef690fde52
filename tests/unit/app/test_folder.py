"""What a folder of results holds: finished, under way, damaged, or nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from made_records import METHODS, make_comparison, make_run, write_comparison, write_run

from welltuned.app import folder
from welltuned.app.folder import contents, shelf, stamp
from welltuned.progress import PROGRESS
from welltuned.record import ComparisonRecord, Progress, write_json


def going(root: Path, method: str, epochs: int, seed: int = 0) -> Path:
    run = make_run(method, seed)
    place = root / "runs" / run.name
    write_json(place / PROGRESS, Progress(spec=run.spec, curve=run.curve[:epochs]))
    return place


def test_nothing(tmp_path: Path) -> None:
    found = contents(tmp_path)
    assert (found.results, found.runs, found.going, found.damaged) == (None, {}, {}, {})
    assert found.verdict == "There is no run here yet."
    assert found.lines() == []
    assert shelf(tmp_path) == [tmp_path]


def test_a_finished_comparison_has_its_rows_as_lines(tmp_path: Path) -> None:
    record = make_comparison()
    write_comparison(tmp_path, record)
    found = contents(tmp_path)
    assert isinstance(found.results, ComparisonRecord)
    assert found.verdict == record.verdict
    assert found.data == record.data
    assert [line.name for line in found.lines()] == [row.name for row in record.table if row.runs]
    assert all(set(line.runs) == {0, 1} for line in found.lines())
    assert not found.going


def test_runs_under_way_stand_beside_finished_ones_of_other_seeds(tmp_path: Path) -> None:
    done = make_run("lora", 0)
    write_run(tmp_path / "runs" / done.name, done)
    place = going(tmp_path, "lora", 3, seed=1)
    going(tmp_path, "head", 0)
    found = contents(tmp_path)
    assert found.verdict == "Not finished: 1 run done, 2 runs under way or broken off."
    assert {line.name: set(line.runs) for line in found.lines()} == {"lora": {0, 1}, "head": {0}}
    assert len(found.going[place.name].progress.curve) == 3
    assert found.going[place.name].silent >= 0


def test_two_settings_of_one_method_are_told_apart(tmp_path: Path) -> None:
    for epochs in (5, 7):
        run = make_run("lora", epochs=epochs)
        write_run(tmp_path / "runs" / run.name, run)
    assert sorted(line.name for line in contents(tmp_path).lines()) == sorted(
        make_run("lora", epochs=epochs).name for epochs in (5, 7)
    )


def test_a_record_newer_than_the_progress_means_finished(tmp_path: Path) -> None:
    run = make_run()
    place = going(tmp_path, "lora", 3)
    os.utime(place / PROGRESS, (1, 1))
    write_run(place, run)
    assert list(contents(tmp_path).runs) == [run.name]
    os.utime(place / "record.json", (0, 0))
    assert list(contents(tmp_path).going) == [run.name]


def test_what_is_damaged_is_named_and_harms_nothing_else(tmp_path: Path) -> None:
    write_comparison(tmp_path, make_comparison())
    (tmp_path / "results.json").write_text("{")
    name = make_run("full").name
    (tmp_path / "runs" / name / "record.json").write_text('{"id": 1}')
    found = contents(tmp_path)
    assert set(found.damaged) == {"results.json", name}
    assert len(found.runs) == 2 * len(METHODS) - 1


def test_a_stamp_changes_with_every_epoch(tmp_path: Path) -> None:
    stamps = [stamp(tmp_path)]
    for epochs in (1, 2):
        going(tmp_path, "lora", epochs)
        stamps.append(stamp(tmp_path))
    assert len(set(stamps)) == 3


def test_a_shelf_holds_the_results_below_a_folder(tmp_path: Path) -> None:
    write_comparison(tmp_path / "runs" / "one", make_comparison())
    going(tmp_path / "runs" / "two", "head", 1)
    (tmp_path / "runs" / "three").mkdir()
    assert set(shelf(tmp_path)) == {tmp_path / "runs" / "one", tmp_path / "runs" / "two"}
    assert shelf(tmp_path / "runs" / "one") == [tmp_path / "runs" / "one"]
    assert set(shelf(tmp_path / "runs")) == set(shelf(tmp_path))


def test_a_run_that_ends_between_two_looks_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = going(tmp_path, "lora", 1)
    real = folder._is_going

    def vanishing(one: Path) -> bool:
        answer = real(one)
        (one / PROGRESS).unlink()
        return answer

    monkeypatch.setattr(folder, "_is_going", vanishing)
    assert contents(tmp_path).damaged == {}
    assert place.is_dir()

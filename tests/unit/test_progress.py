"""The curve so far, left in a run's folder for whoever looks on."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import make_run

from welltuned import progress
from welltuned.errors import ResourceError
from welltuned.progress import PROGRESS, Kept, Observer
from welltuned.record import EpochRow, Progress, read_record

RUN = make_run()


class Heard(Observer):
    def __init__(self) -> None:
        self.told: list[object] = []

    def stage(self, title: str, total: int) -> None:
        self.told.append((title, total))

    def advance(self, rows: int) -> None:
        self.told.append(rows)

    def epoch(self, row: EpochRow, epochs: int) -> None:
        self.told.append((row.epoch, epochs))

    def part(self, done: int, total: int, left: float) -> None:
        self.told.append((done, total, left))

    def say(self, text: str) -> None:
        self.told.append(text)


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SELDOM", 0.0)


def left(folder: Path) -> Progress:
    return read_record(folder / PROGRESS, Progress)


def test_the_curve_grows_and_everything_is_handed_on(tmp_path: Path) -> None:
    heard = Heard()
    kept = Kept(tmp_path, RUN.spec, heard)
    assert left(tmp_path) == Progress(spec=RUN.spec, curve=[])
    kept.stage("epoch 1/7", 10)
    kept.advance(4)
    for row in RUN.curve[:3]:
        kept.epoch(row, 7)
    kept.part(1, 2, 3.0)
    kept.say("so")
    assert left(tmp_path).curve == RUN.curve[:3]
    assert heard.told == [("epoch 1/7", 10), 4, (1, 7), (2, 7), (3, 7), (1, 2, 3.0), "so"]
    progress.forget(tmp_path)
    assert not list(tmp_path.iterdir())
    progress.forget(tmp_path)


def test_a_run_taken_up_again_keeps_the_epochs_before(tmp_path: Path) -> None:
    first = Kept(tmp_path, RUN.spec, Observer())
    for row in RUN.curve[:4]:
        first.epoch(row, 7)
    again = Kept(tmp_path, RUN.spec, Observer())
    again.epoch(RUN.curve[3], 7)
    assert left(tmp_path).curve == RUN.curve[:4]
    anew = Kept(tmp_path, RUN.spec, Observer())
    anew.epoch(RUN.curve[0], 7)
    assert left(tmp_path).curve == RUN.curve[:1]
    other = Kept(tmp_path, make_run("full").spec, Observer())
    other.epoch(RUN.curve[4], 7)
    assert left(tmp_path).curve == [RUN.curve[4]]


def test_epochs_in_common_with_another_run_are_shown_from_the_start(tmp_path: Path) -> None:
    kept = Kept(tmp_path, RUN.spec, Observer())
    kept.starts_from(RUN.curve[:3])
    assert left(tmp_path).curve == RUN.curve[:3]
    kept.epoch(RUN.curve[3], 7)
    assert left(tmp_path).curve == RUN.curve[:4]


def test_a_disk_that_fails_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise ResourceError("full")

    monkeypatch.setattr(progress, "write_json", full)
    Kept(tmp_path, RUN.spec, Observer()).epoch(RUN.curve[0], 7)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    Kept(folder, RUN.spec, Observer()).epoch(RUN.curve[0], 7)
    assert not folder.exists()


def test_short_epochs_are_not_written_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SELDOM", 3600.0)
    kept = Kept(tmp_path, RUN.spec, Observer())
    kept.epoch(RUN.curve[0], 7)
    assert left(tmp_path).curve == []

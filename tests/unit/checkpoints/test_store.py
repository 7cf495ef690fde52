"""Checkpoints on disk: whole or not there, the newest valid one wins, damage is found wherever it is."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from welltuned.checkpoints import Identity, State, Store
from welltuned.errors import ResourceError

BESIDE = {"threads": "1", "torch": "x"}
OWN = Identity("spec", "data", "weights", BESIDE)


def state(step: int) -> State:
    tensors = {"weights.a": torch.arange(100.0) + step, "step.a": torch.tensor(float(step)), "none": torch.empty(0, 2)}
    return State(tensors, {"step": step, "exact": 0.1 + 0.2, "words": [2**64 - 1]})


class Place:
    """A store, and what it says."""

    def __init__(self, folder: Path, identity: Identity = OWN, limit: int = 2) -> None:
        self.said: list[str] = []
        self.folder = folder / "checkpoint"
        self.store = Store(self.folder, identity, limit, self.said.append)

    def steps(self) -> list[int]:
        return sorted(int(one.name.partition("-")[0]) for one in self.folder.iterdir())

    def read(self) -> int | None:
        found = self.store.newest()
        return None if found is None else found.numbers["step"]


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    Place(tmp_path).store.write(state(7))
    found = Place(tmp_path).store.newest()
    assert found is not None
    assert found.numbers == state(7).numbers
    assert found.tensors.keys() == state(7).tensors.keys()
    assert all(torch.equal(value, found.tensors[name]) for name, value in state(7).tensors.items())


def test_so_many_are_kept(tmp_path: Path) -> None:
    place = Place(tmp_path, limit=3)
    for step in (1, 2, 9, 10, 11):
        place.store.write(state(step))
    assert place.steps() == [9, 10, 11]
    place.store.write(state(10))  # again, after going back
    assert place.read() == 11


def test_there_is_none(tmp_path: Path) -> None:
    assert Place(tmp_path).read() is None


def files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def spoilt(path: Path) -> Iterator[tuple[str, bytes | None]]:
    """A file flipped at each of many bytes, cut, lengthened and deleted."""
    content = path.read_bytes()
    for at in sorted({*range(0, len(content), max(1, len(content) // 60)), len(content) - 1}):
        yield f"byte {at}", content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    for length in (0, 1, len(content) // 2, len(content) - 1):
        yield f"cut to {length}", content[:length]
    yield "lengthened", content + b"\0"
    yield "deleted", None


def test_damage_is_found_wherever_it_is(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.store.write(state(1))
    place.store.write(state(2))
    (newest,) = place.folder.glob("00000002-*")
    tried = 0
    for path in files(newest):
        whole = path.read_bytes()
        for how, content in spoilt(path):
            path.unlink()
            if content is not None:
                path.write_bytes(content)
            fresh = Place(tmp_path)
            assert fresh.read() == 1, f"{path.name}: {how}"
            assert "step 2 is damaged and passed over" in fresh.said[0], how
            path.write_bytes(whole)
            tried += 1
    assert tried > 150
    assert Place(tmp_path).read() == 2


def test_a_damaged_one_makes_room_for_the_next(tmp_path: Path) -> None:
    first = Place(tmp_path)
    for step in (1, 2, 9):
        first.store.write(state(step))
    next(first.folder.glob("00000009-*/manifest.json")).unlink()
    second = Place(tmp_path)
    assert second.read() == 2
    second.store.write(state(3))
    assert second.steps() == [2, 3], "the damaged one has gone, not a whole one in its place"
    assert Place(tmp_path).read() == 3


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Identity("other", "data", "weights", BESIDE), "the options differ"),
        (Identity("spec", "other", "weights", BESIDE), "the data differ"),
        (Identity("spec", "other", "other", BESIDE), "the data and the pretrained weights differ"),
    ],
)
def test_another_trainings_is_not_used_and_stays(tmp_path: Path, other: Identity, why: str) -> None:
    Place(tmp_path).store.write(state(5))
    place = Place(tmp_path, other)
    assert place.read() is None
    assert why in place.said[0]
    place.store.write(state(2))
    assert Place(tmp_path).read() == 5
    assert Place(tmp_path, other).read() == 2


def test_other_circumstances_are_told(tmp_path: Path) -> None:
    Place(tmp_path).store.write(state(5))
    place = Place(tmp_path, Identity("spec", "data", "weights", {**BESIDE, "threads": "2"}))
    assert place.read() == 5
    assert "threads 1 instead of 2" in place.said[0]
    assert "last bits" in place.said[0]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_modes_are_the_users(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        Place(tmp_path).store.write(state(1))
    finally:
        os.umask(before)
    (folder,) = (tmp_path / "checkpoint").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~mask
    assert {stat.S_IMODE(path.stat().st_mode) for path in files(folder)} == {0o666 & ~mask}


class Broken(BaseException):
    """Breaks off like a signal would."""


def test_a_write_that_breaks_off_anywhere_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path)
    place.store.write(state(1))
    points, real, names = 0, {name: getattr(os, name) for name in ("fsync", "replace")}, list[str]()
    for at in range(40):
        count = iter(range(99))

        def counted(name: str, *arguments: Any, stop: int = at, count: Iterator[int] = count, **rest: Any) -> Any:
            if next(count) == stop:
                names.append(name)
                raise Broken
            return real[name](*arguments, **rest)

        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(os, name, lambda *a, _name=name, _counted=counted, **k: _counted(_name, *a, **k))
            try:
                place.store.write(state(2 + at))
            except Broken:
                points += 1
                assert Place(tmp_path).read() in (1, 2 + at)
                assert not list(place.folder.glob(".*.draft"))
                continue
        break
    assert points >= 6
    assert {"fsync", "replace"} == set(names)


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    place = Place(tmp_path)
    (place.folder / ".00000001-abcdabcd.draft").mkdir(parents=True)
    (place.folder / ".00000000-abcdabcd.gone").mkdir()
    assert place.read() is None
    place.store.write(state(2))
    assert place.steps() == [2]


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path)
    place.store.write(state(1))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ResourceError, match="No space left") as error:
            place.store.write(state(2))
    assert "goes on" in (error.value.mend or "")
    assert place.steps() == [1]
    assert place.read() == 1

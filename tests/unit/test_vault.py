from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from welltuned.data.dataset import Columns, Dataset, Split
from welltuned.errors import ResourceError
from welltuned.vault import LEDGER, TORN, identity, looks, open_test

LABELS = np.array([0, 1, 1])


def dataset(test: str = "a", opened: list[str] | None = None, train: str = "x") -> Dataset:
    def split(text: str) -> Split:
        return Split((text, "b", "c"), None, None, ("r:1", "r:2", "r:3"))

    def unseal() -> np.ndarray:
        if opened is not None:
            opened.append(test)
        return LABELS

    columns = Columns("t", None, "l")
    return Dataset("rows", split(train), split(train), split(test), ("no", "yes"), columns, train + test, unseal=unseal)


def seen(folder: Path, test: str = "a") -> list[str]:
    return [one.selection for one in looks(folder, identity(dataset(test).test))]


def test_each_opening_leaves_a_line(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert seen(tmp_path / "out") == []
    assert np.array_equal(open_test(dataset(), tmp_path / "out", "first", "scores of »four« runs"), LABELS)
    open_test(dataset(), tmp_path / "out", "first", "again")
    lines = [json.loads(line) for line in (tmp_path / "out" / LEDGER).read_text("utf-8").splitlines()]
    assert [line["purpose"] for line in lines] == ["scores of »four« runs", "again"]
    assert {(line["data"], line["data_hash"], line["selection"]) for line in lines} == {("rows", "xa", "first")}
    assert before <= datetime.fromisoformat(lines[0]["when"]) <= datetime.now(UTC)


def test_looks_are_counted_once_a_selection_and_by_test_rows(tmp_path: Path) -> None:
    for data, selection in (("a", "s1"), ("a", "s1"), ("a", "s2"), ("z", "s3")):
        open_test(dataset(data), tmp_path / "out", selection, "test")
    open_test(dataset("a", train="other"), tmp_path / "out", "s4", "the same test rows under other train rows")
    assert seen(tmp_path / "out") == ["s1", "s2", "s4"]
    assert seen(tmp_path / "out", "z") == ["s3"]
    assert seen(tmp_path / "out", "c") == []


def test_a_look_from_the_folder_beside_counts_and_is_named(tmp_path: Path) -> None:
    open_test(dataset(), tmp_path / "one", "s1", "first")
    open_test(dataset(), tmp_path / "two", "s2", "second")
    found = looks(tmp_path / "two", identity(dataset().test))
    assert {(one.selection, one.folder) for one in found} == {("s1", "one"), ("s2", "")}


def test_a_torn_line_counts_in_its_own_folder(tmp_path: Path) -> None:
    open_test(dataset(), tmp_path / "one", "s1", "first")
    with (tmp_path / "one" / LEDGER).open("a") as file:
        file.write('{"when": "20')
    assert [one.purpose for one in looks(tmp_path / "one", identity(dataset().test))] == [TORN, "first"]
    assert [one.purpose for one in looks(tmp_path / "two", identity(dataset().test))] == ["first"]


def test_a_line_that_names_no_rows_counts_in_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    old = {"when": "2026-01-01T00:00:00+00:00", "data_hash": "aa", "selection": "s0", "purpose": "before"}
    (tmp_path / "one" / LEDGER).write_text(json.dumps(old) + "\n")
    open_test(dataset(), tmp_path / "one", "s1", "now")
    assert seen(tmp_path / "one") == ["s0", "s1"]
    assert seen(tmp_path / "two") == ["s1"]


def test_without_a_line_the_labels_stay_sealed(tmp_path: Path) -> None:
    (tmp_path / LEDGER).mkdir()
    opened: list[str] = []
    with pytest.raises(ResourceError, match="stay sealed"):
        open_test(dataset(opened=opened), tmp_path, "s", "p")
    assert not opened

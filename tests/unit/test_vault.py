from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from welltuned.data.dataset import Columns, Dataset, Split
from welltuned.errors import ResourceError
from welltuned.vault import LEDGER, open_test, selections_seen

LABELS = np.array([0, 1, 1])


def dataset(hash: str = "aa", opened: list[str] | None = None) -> Dataset:
    split = Split(("a", "b", "c"), None, None, ("r:1", "r:2", "r:3"))

    def unseal() -> np.ndarray:
        if opened is not None:
            opened.append(hash)
        return LABELS

    return Dataset("rows", split, split, split, ("no", "yes"), Columns("t", None, "l"), hash, unseal=unseal)


def test_each_opening_leaves_a_line(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert selections_seen(tmp_path / "out", "aa") == 0
    assert np.array_equal(open_test(dataset(), tmp_path / "out", "first", "scores of »four« runs"), LABELS)
    open_test(dataset(), tmp_path / "out", "first", "again")
    lines = [json.loads(line) for line in (tmp_path / "out" / LEDGER).read_text("utf-8").splitlines()]
    assert [line["purpose"] for line in lines] == ["scores of »four« runs", "again"]
    assert {(line["data"], line["data_hash"], line["selection"]) for line in lines} == {("rows", "aa", "first")}
    assert before <= datetime.fromisoformat(lines[0]["when"]) <= datetime.now(UTC)


def test_selections_are_counted_once_each_and_by_data(tmp_path: Path) -> None:
    for data, selection in (("aa", "s1"), ("aa", "s1"), ("aa", "s2"), ("bb", "s3")):
        open_test(dataset(data), tmp_path, selection, "test")
    assert selections_seen(tmp_path, "aa") == 2
    assert selections_seen(tmp_path, "bb") == 1
    assert selections_seen(tmp_path, "cc") == 0


def test_without_a_line_the_labels_stay_sealed(tmp_path: Path) -> None:
    (tmp_path / LEDGER).mkdir()
    opened: list[str] = []
    with pytest.raises(ResourceError, match="stay sealed"):
        open_test(dataset(opened=opened), tmp_path, "s", "p")
    assert not opened

"""After loading, the test labels are not in the process: nothing that held them is alive."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from welltuned.data import load
from welltuned.spec import DataSpec


class Watched(list[Any]):
    """A list that can be watched."""


def test_nothing_that_held_the_test_labels_is_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, count in (("train", 30), ("dev", 12), ("test", 12)):
        lines = [f"q {name} {i},{'yes' if i % 3 else 'no'}" for i in range(count)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["question,answer", *lines]) + "\n")
    watched: list[weakref.ref[Any]] = []
    real_source, real_encode = load.read_source, load.encode

    def read_source(*arguments: Any) -> Any:
        source = real_source(*arguments)
        watched.append(weakref.ref(source))
        watched.append(weakref.ref(source.tables["test"]))
        return source

    def encode(*arguments: Any) -> Any:
        encoding = real_encode(*arguments)
        watched.append(weakref.ref(encoding))
        watched.append(weakref.ref(encoding.indices["test"]))
        return encoding

    monkeypatch.setattr(load, "read_source", read_source)
    monkeypatch.setattr(load, "encode", encode)
    dataset = load.load_dataset(DataSpec(source=str(tmp_path)))
    gc.collect()
    assert len(watched) == 4
    assert [reference() for reference in watched] == [None] * 4
    assert dataset.test.label is None
    assert all(rows.label is None for rows in dataset.supplied.values())
    expected = np.array([dataset.labels.index("yes" if i % 3 else "no") for i in range(12)])
    assert np.array_equal(dataset.unseal(), expected)  # read again from the source
    gc.collect()
    assert [reference() for reference in watched] == [None] * len(watched)

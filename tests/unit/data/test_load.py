from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from welltuned.data import load_dataset
from welltuned.errors import DataError
from welltuned.spec import DataSpec


def write(path: Path, n: int, start: int = 0) -> None:
    """Rows whose label can be told from the text: yes where the number is divisible by three."""
    rows = [{"question": f"is {i} it", "passage": f"the {i}", "answer": i % 3 == 0} for i in range(start, start + n)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def truth(texts: tuple[str, ...]) -> list[int]:
    return [int(int(text.split()[1]) % 3 == 0) for text in texts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "train.jsonl", 60)
    write(tmp_path / "dev.jsonl", 20, start=60)
    write(tmp_path / "test.jsonl", 20, start=80)
    return tmp_path


WAYS: list[dict[str, Any]] = [
    {},
    {"split": "grouped"},
    {"max_train_samples": 30, "max_eval_samples": 10, "max_predict_samples": 7},
    {"split": "grouped", "split_seed": 5, "max_predict_samples": 9},
]


@pytest.mark.parametrize("way", WAYS)
def test_the_seal(way: dict[str, Any], folder: Path) -> None:
    data = load_dataset(DataSpec(source=str(folder), **way))
    assert data.test.label is None
    assert all(split.label is None for split in data.supplied.values())
    assert data.unseal().tolist() == truth(data.test.text)
    assert data.train.label is not None
    assert data.train.label.tolist() == truth(data.train.text)


def test_the_seal_of_a_test_split_that_was_cut(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", 100)
    data = load_dataset(DataSpec(source=str(tmp_path / "rows.jsonl")))
    assert (len(data.train), len(data.dev), len(data.test)) == (70, 10, 20)
    assert data.test.label is None
    assert data.unseal().tolist() == truth(data.test.text)


def test_changed_files_stay_sealed(folder: Path) -> None:
    data = load_dataset(DataSpec(source=str(folder)))
    write(folder / "test.jsonl", 20, start=81)
    with pytest.raises(DataError, match="has changed since"):
        data.unseal()


def test_splits_as_supplied(folder: Path) -> None:
    data = load_dataset(DataSpec(source=str(folder)))
    assert (len(data.train), len(data.dev), len(data.test)) == (60, 20, 20)
    assert data.labels == ("no", "yes")
    assert data.name == folder.name
    assert data.train.text[:2] == ("is 0 it", "is 1 it")
    assert data.test.origin[1] == "test.jsonl:2"


def test_caps_are_kept_and_said(folder: Path) -> None:
    data = load_dataset(DataSpec(source=str(folder), **WAYS[2]))
    assert (len(data.train), len(data.dev), len(data.test)) == (30, 10, 7)
    assert "30 of 60 train rows are kept, chosen by the split seed" in data.notes


def test_the_same_twice(folder: Path) -> None:
    spec = DataSpec(source=str(folder), split="grouped")
    one, two = load_dataset(spec), load_dataset(spec)
    assert one.hash == two.hash
    assert one.train.text == two.train.text
    assert np.array_equal(one.train.label, two.train.label)  # type: ignore[arg-type]
    assert one.hash != load_dataset(spec.model_copy(update={"split_seed": 1})).hash


def test_the_hash_covers_the_sealed_labels(folder: Path) -> None:
    before = load_dataset(DataSpec(source=str(folder))).hash
    path = folder / "test.jsonl"
    path.write_text(path.read_text().replace("true", "other").replace("false", "true").replace("other", "false"))
    assert load_dataset(DataSpec(source=str(folder))).hash != before


def test_the_hash_is_one_for_all_formats(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    for path in folder.glob("*.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        (other / f"{path.stem}.json").write_text(json.dumps(rows))
    assert load_dataset(DataSpec(source=str(other))).hash == load_dataset(DataSpec(source=str(folder))).hash


def test_supplied_overlap_is_said(folder: Path) -> None:
    write(folder / "dev.jsonl", 20, start=55)
    data = load_dataset(DataSpec(source=str(folder)))
    assert "5 passages stand both in train and in dev as supplied (5 and 5 rows)" in data.notes


def test_words_for_nothing_survive_csv(tmp_path: Path) -> None:
    words = ["NA", "null", "None", "nan"] * 5
    lines = [f"{word},{'ab'[i % 2]}" for i, word in enumerate(words)]
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]))
    assert load_dataset(DataSpec(source=str(tmp_path))).train.text == tuple(words)


def test_built_in() -> None:
    data = load_dataset(DataSpec(source="builtin:yesno"))
    assert data.name == "yesno"
    assert data.labels == ("no", "yes")
    assert len(data.unseal()) == len(data.test)
    assert not set(data.train.pair or ()) & set(data.test.pair or ())

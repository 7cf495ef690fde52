from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import datasets
import pytest

from welltuned.data import load_dataset, sources
from welltuned.data.sources import SPLITS, read_source, tables_of
from welltuned.errors import DataError
from welltuned.spec import DataSpec

ROWS = b"text,label\n" + b"".join(b"text %d,%s\n" % (i, b"ab"[i % 2 : i % 2 + 1]) for i in range(20))


def boolq(n: int, start: int = 0) -> datasets.Dataset:
    """Rows with the columns of google/boolq."""
    numbers = range(start, start + n)
    return datasets.Dataset.from_dict(
        {
            "question": [f"is {i} odd" for i in numbers],
            "answer": [bool(i % 2) for i in numbers],
            "passage": [f"The number {i}." for i in numbers],
        }
    )


def classified(labels: list[int], start: int = 0) -> datasets.Dataset:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["negative", "positive"])}
    )
    texts = [f"text {start + i}" for i in range(len(labels))]
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=features)


def from_hub(monkeypatch: pytest.MonkeyPatch, splits: dict[str, datasets.Dataset]) -> list[tuple[Any, ...]]:
    """Let the Hub answer with these splits; returns the list of its calls."""
    calls = []

    def answer(*args: Any) -> datasets.DatasetDict:
        calls.append(args)
        return datasets.DatasetDict(splits)

    monkeypatch.setattr(datasets, "load_dataset", answer)
    monkeypatch.setattr(sources, "_resolves", lambda host: True)
    return calls


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("google/boolq", ("google/boolq", None)),
        ("boolq", ("google/boolq", None)),
        ("super_glue/boolq", ("aps/super_glue", "boolq")),
    ],
)
def test_boolq_is_cut_as_8000_and_1427(
    source: str, call: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    calls = from_hub(monkeypatch, {"train": boolq(9427), "validation": boolq(3270, start=9427)})
    data = load_dataset(DataSpec(source=source))
    assert calls == [call]
    assert (len(data.train), len(data.dev), len(data.test)) == (8000, 3270, 1427)
    assert (data.columns.text, data.columns.text_pair, data.columns.label) == ("question", "passage", "answer")
    assert data.labels == ("no", "yes")
    assert data.dev.origin[0] == f"{source}/validation:1"
    assert not set(data.train.pair or ()) & set(data.test.pair or ())


def test_hidden_test_labels_count_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"train": [0, 1] * 50, "validation": [0, 1] * 10, "test": [-1] * 30}
    from_hub(monkeypatch, {name: classified(labels, 1000 * i) for i, (name, labels) in enumerate(splits.items())})
    data = load_dataset(DataSpec(source="some/set"))
    assert len(data.test) == 15
    assert any("all 30 labels are -1 (hidden)" in note for note in data.notes)
    assert data.labels == ("negative", "positive")
    assert data.test.origin[0].startswith("some/set/train:")


def test_hub_split_names_are_mapped_and_said() -> None:
    splits = {"train": boolq(3), "validation": boolq(2), "test": boolq(1), "unsupervised": boolq(1)}
    tables, notes = tables_of(datasets.DatasetDict(splits), "some/set")
    assert {name: len(table) for name, table in tables.items()} == {"train": 3, "dev": 2, "test": 1}
    assert "the split 'validation' is taken as dev" in notes[0]
    assert "the splits unsupervised are not used" in notes[1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train", "dev", "validation"), "more than one dev split: dev and validation"),
        (("test",), "no train split"),
    ],
)
def test_hub_splits_that_cannot_be_mapped(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        tables_of(datasets.DatasetDict({name: boolq(1) for name in names}), "some/set")


def test_columns_of_pictures_are_not_decoded() -> None:
    rows = boolq(2).add_column("picture", [{"path": "a.png", "bytes": None}] * 2)
    rows = rows.cast_column("picture", datasets.Image())
    tables, _ = tables_of({"train": rows}, "some/set")
    assert list(tables["train"].columns) == ["question", "answer", "passage"]


@pytest.mark.parametrize(
    ("error", "mend"),
    [
        (ConnectionError("Couldn't reach 'some/set' on the Hub"), "builtin:yesno"),
        (ValueError("Config name is missing.\nPlease pick one among ['a']"), "some/set:CONFIG"),
        (RuntimeError("Dataset scripts are no longer supported"), "local file"),
    ],
)
def test_what_the_hub_refuses(error: Exception, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    monkeypatch.setattr(sources, "_resolves", lambda host: True)
    with pytest.raises(DataError) as caught:
        read_source("some/set", 0)
    assert caught.value.where == "some/set"
    assert str(error).splitlines()[0] in (caught.value.why or "")
    assert mend in (caught.value.mend or "")


def test_without_a_network_the_hub_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(*args: Any) -> datasets.DatasetDict:
        seen.append(datasets.config.HF_HUB_OFFLINE)
        return datasets.DatasetDict({"train": boolq(1)})

    before = datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr(datasets, "load_dataset", look)
    monkeypatch.setattr(sources, "getproxies", dict)
    monkeypatch.setattr(sources, "_resolves", lambda host: False)
    read_source("some/set", 0)
    assert seen == [True]
    assert datasets.config.HF_HUB_OFFLINE is before


def test_a_configuration_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = from_hub(monkeypatch, {"train": boolq(1)})
    read_source("nyu-mll/glue:mrpc", 0)
    assert calls == [("nyu-mll/glue", "mrpc")]


@pytest.mark.parametrize("name", [name for names in SPLITS.values() for name in names])
def test_every_file_name_of_a_split(name: str, tmp_path: Path) -> None:
    split = next(split for split, names in SPLITS.items() if name in names)
    (tmp_path / f"{name.capitalize()}.csv").write_bytes(ROWS)
    if split != "train":
        (tmp_path / "train.jsonl").write_bytes(b'{"text": "a", "label": "a"}\n')
    assert read_source(str(tmp_path), 0).tables[split].name == f"{name.capitalize()}.csv"


def test_formats_may_be_mixed_and_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(ROWS)
    (tmp_path / "dev.tsv").write_bytes(ROWS.replace(b",", b"\t"))
    (tmp_path / ".test.csv").write_bytes(b"hidden")
    (tmp_path / "README.md").write_bytes(b"words")
    source = read_source(str(tmp_path), 0)
    assert {name: len(table) for name, table in source.tables.items()} == {"train": 20, "dev": 20}
    assert source.name == tmp_path.name


def test_shards_are_joined_in_order(tmp_path: Path) -> None:
    (tmp_path / "train-00001-of-00002.csv").write_bytes(b"text,label\nc,a\n")
    (tmp_path / "train-00000-of-00002.csv").write_bytes(b"text,label\na,a\nb,b\n")
    table = read_source(str(tmp_path), 0).tables["train"]
    assert table.columns["text"] == ["a", "b", "c"]
    assert table.origin[2] == "train-00001-of-00002.csv:2"


def test_a_link_is_followed_and_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real.csv").write_bytes(ROWS)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(read_source("~/link.csv", 0).tables["train"]) == 20


def test_what_is_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(DataError, match="not a regular file"):
        read_source(str(tmp_path / "pipe.csv"), 0)


def test_a_local_folder_wins_over_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "google" / "boolq").mkdir(parents=True)
    (tmp_path / "google" / "boolq" / "train.csv").write_bytes(ROWS)
    monkeypatch.chdir(tmp_path)
    assert read_source("google/boolq", 0).tables["train"].name == "train.csv"

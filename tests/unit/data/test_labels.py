from __future__ import annotations

from typing import Any

import pytest

from welltuned.data.labels import Encoding, encode, is_hidden
from welltuned.data.readers import Table
from welltuned.errors import DataError


def table(name: str, labels: list[Any], classes: tuple[str, ...] | None = None) -> Table:
    known = {} if classes is None else {"label": classes}
    return Table(name, {"label": labels}, tuple(f"{name}:{at}" for at in range(1, len(labels) + 1)), known)


def encoded(labels: list[Any], classes: tuple[str, ...] | None = None) -> Encoding:
    return encode({"train": table("train", labels, classes)}, "label")


@pytest.mark.parametrize(
    ("labels", "names", "indices"),
    [
        ([True, False, True], ("no", "yes"), [1, 0, 1]),
        (["yes", "no", "no"], ("no", "yes"), [1, 0, 0]),
        (["True", "false", "TRUE"], ("no", "yes"), [1, 0, 1]),
        (["No", "YES", " no "], ("no", "yes"), [0, 1, 0]),
        ([1, 0, 1], ("0", "1"), [1, 0, 1]),
        ([10, 9, 100] * 2, ("9", "10", "100"), [1, 0, 2] * 2),
        (["10", "9", "100"] * 2, ("9", "10", "100"), [1, 0, 2] * 2),
        (["007", "7", "07"] * 2, ("007", "07", "7"), [0, 2, 1] * 2),
        ([0.0, 1.0, 1.0], ("0", "1"), [0, 1, 1]),
        (["0.0", "1.0", "1.0"], ("0", "1"), [0, 1, 1]),
        (["b", "a", "c"] * 2, ("a", "b", "c"), [1, 0, 2] * 2),
        (["pos", "neg", "NA"] * 2, ("NA", "neg", "pos"), [2, 1, 0] * 2),
    ],
)
def test_names_and_indices(labels: list[Any], names: tuple[str, ...], indices: list[int]) -> None:
    found = encoded(labels)
    assert found.names == names
    assert found.indices["train"].tolist() == indices
    assert found.indices["train"].dtype == "int64"


def test_reals_that_are_whole_are_said() -> None:
    assert "read as integers" in encoded([0.0, 1.0]).notes[0]
    assert encoded([0, 1]).notes == ()


def test_a_class_called_na_is_said() -> None:
    assert "'NA'" in encoded(["pos", "neg", "NA"] * 2).notes[0]


def test_classes_that_differ_in_case_are_said() -> None:
    assert "'Pos' and 'pos'" in encoded(["Pos", "pos", "neg"] * 2).notes[0]


def test_supplied_names_keep_their_order() -> None:
    found = encoded([0, 2, 0, 2], ("world", "never", "sport"))
    assert found.names == ("world", "sport")
    assert found.indices["train"].tolist() == [0, 1, 0, 1]


def test_supplied_truth_is_no_and_yes() -> None:
    assert encoded([1, 0], ("False", "True")).names == ("no", "yes")
    turned = encoded([1, 0], ("yes", "no"))
    assert turned.names == ("no", "yes")
    assert turned.indices["train"].tolist() == [0, 1]


def test_an_index_beyond_the_supplied_names() -> None:
    with pytest.raises(DataError, match="train:2: the label 5 is none of the 2 classes"):
        encoded([0, 5, 1], ("a", "b"))


def test_classes_come_from_train_and_dev() -> None:
    tables = {
        "train": table("train", ["a", "b"] * 3),
        "dev": table("dev", ["c"]),
        "test": table("test", ["c", "a"]),
    }
    found = encode(tables, "label")
    assert found.names == ("a", "b", "c")
    assert found.indices["test"].tolist() == [2, 0]


def test_many_classes() -> None:
    names = [f"class {i:03}" for i in range(150)]
    assert encoded(names * 3).names == tuple(names)


@pytest.mark.parametrize("values", [[-1, -1], [-1.0], ["-1", " -1 "]])
def test_hidden(values: list[Any]) -> None:
    assert is_hidden(values)
    assert not is_hidden([*values, 0])

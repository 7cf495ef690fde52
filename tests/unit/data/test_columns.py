from __future__ import annotations

from typing import Any

import pytest

from welltuned.data.columns import COUPLES, LABELS, TEXTS, resolve, take_texts
from welltuned.data.dataset import Columns
from welltuned.data.readers import Table
from welltuned.errors import DataError
from welltuned.spec import DataSpec


def table(*names: str, **columns: list[Any]) -> Table:
    filled = columns or {name: ["x"] for name in names}
    rows = len(next(iter(filled.values())))
    return Table("a.csv", filled, tuple(f"a.csv:{at}" for at in range(2, rows + 2)))


def guess(*names: str, **spec: Any) -> Columns:
    return resolve({"train": table(*names)}, DataSpec(source="a.csv", **spec))[0]


@pytest.mark.parametrize("couple", COUPLES)
def test_every_couple_is_recognised(couple: tuple[str, str]) -> None:
    assert guess("id", *reversed(couple), "label") == Columns(couple[0], couple[1], "label")


@pytest.mark.parametrize("name", TEXTS)
def test_every_text_is_recognised(name: str) -> None:
    assert guess("id", name, "label") == Columns(name, None, "label")


@pytest.mark.parametrize("name", LABELS)
def test_every_label_is_recognised(name: str) -> None:
    assert guess("text", name) == Columns("text", None, name)


def test_names_in_capitals() -> None:
    assert guess("Question", "PASSAGE", "Label") == Columns("Question", "PASSAGE", "Label")


def test_given_names_win() -> None:
    assert guess("question", "passage", "title", "answer", text="title", text_pair="passage").text == "title"
    assert guess("text", "label", "target", label="target").label == "target"
    assert guess("question", "passage", "answer", text_pair="").text_pair is None
    assert guess("claim", "text", "label", text="claim", text_pair="text") == Columns("claim", "text", "label")
    assert guess("claim", "text", "label", text_pair="claim") == Columns("text", "claim", "label")


def test_every_guess_is_said_and_nothing_else() -> None:
    spec = DataSpec(source="a.csv", text="question")
    notes = resolve({"train": table("question", "passage", "answer")}, spec)[1]
    assert notes == ["column 'passage' is taken as the second text", "column 'answer' is taken as the label"]


def test_two_couples_are_ambiguous() -> None:
    with pytest.raises(DataError, match=r"(?s)question \+ context.*--text-pair"):
        guess("question", "passage", "context", "label")


def test_numbers_are_read_as_text_and_said() -> None:
    texts, notes = take_texts(table(text=["a", 1, 2.5]), "text")
    assert texts == ("a", "1", "2.5")
    assert notes == ["a.csv: 2 numbers in column 'text' are read as text"]


def test_words_for_nothing_are_text() -> None:
    words = ["NA", "null", "None", "nan", "N/A"]
    assert take_texts(table(text=words), "text") == (tuple(words), [])


def test_halves_of_surrogate_pairs_are_joined_or_replaced() -> None:
    texts, notes = take_texts(table(text=["fine 🙂", "\ud83d\ude42", "half \ud83d"]), "text")
    assert texts == ("fine 🙂", "🙂", "half \ufffd")
    assert "2 texts" in notes[0]
    assert "a.csv:3" in notes[0]


def test_long_texts_are_said() -> None:
    _, notes = take_texts(table(text=["a", "b" * 5_000_000]), "text")
    assert notes[0].startswith("a.csv:3: a text of 5,000,000 characters")

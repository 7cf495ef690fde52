from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest

from welltuned.python.errors import InputError
from welltuned.python.rows import read

TEXTS = ["is it so", "no", "très bien"]
PAIRS = [("is it so", "It is so."), ("no", "It is."), ("a", "b")]


@pytest.mark.parametrize(
    "given",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        np.array(TEXTS, dtype=object).reshape(-1, 1),
        pd.Series(TEXTS, index=[5, 1, 9]),
        datasets.Dataset.from_dict({"text": TEXTS})["text"],
    ],
)
def test_single_texts(given: Any) -> None:
    found = read(given)
    assert found.columns == (TEXTS,)
    assert found.names == ("text",)
    assert all(type(text) is str for text in found.columns[0])


@pytest.mark.parametrize("given", [PAIRS, [list(pair) for pair in PAIRS], np.array(PAIRS, dtype=object)])
def test_pairs(given: Any) -> None:
    found = read(given)
    assert found.columns == tuple(map(list, zip(*PAIRS, strict=True)))
    assert found.names == ("text", "text_pair")
    assert found.array().shape == (3, 2)


def test_frames_keep_their_names() -> None:
    frame = pd.DataFrame(PAIRS, columns=["question", "passage"])
    found = read(frame)
    assert found.names == ("question", "passage")
    assert list(found.array().columns) == ["question", "passage"]
    assert read(frame[["question"]]).names == ("question",)


def test_a_dataset_brings_its_labels() -> None:
    whole = datasets.Dataset.from_dict(
        {"idx": [0, 1, 2], "question": TEXTS, "passage": TEXTS, "label": [1, 0, 1], "score": [0.5, 1.5, 2.5]}
    )
    found = read(whole)
    assert found.names == ("question", "passage")
    assert found.labels == [1, 0, 1]
    assert read(whole, wanted=["passage"]).names == ("passage",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones((3, 2)), "X: an array of float64 holds no texts"),
        ([1, 2], r"X\[0\]: 1 is of type int, not text"),
        (["a", None], r"X\[1\]: None is a missing value, not text"),
        (["a", float("nan")], r"X\[1\]: nan is a missing value"),
        (pd.DataFrame({"q": ["a", pd.NA]}), r"X\[1\], column 'q': (<NA>|nan) is a missing value"),
        ([("a", "b"), ("c",)], r"X\[1\]: this row is \('c',\), the first has 2 texts"),
        ([("a", "b", "c")], "3 columns where one or two of text are expected"),
        ("one text", "a str is not rows of text"),
        ({"a": "b"}, "a dict is not rows of text"),
        (b"bytes", "a bytes is not rows of text"),
        ([b"bytes"], r"X\[0\]: b'bytes' is of type bytes"),
    ],
)
def test_what_holds_no_texts_is_refused_with_its_place(given: Any, said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        read(given)
    assert isinstance(error.value, ValueError)
    assert error.value.mend

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from welltuned.serving.limits import Limits
from welltuned.serving.questions import Question, asked, question
from welltuned.serving.refusals import Refusal, Told, quoted

LIMITS = Limits(characters=50, items=4)
SCALARS = st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters())
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))

BAD = {
    "nothing": b"",
    "no JSON": b"{",
    "two documents": b"{}{}",
    "a list": b"[]",
    "a number": b"1",
    "not UTF-8": b'{"text": "\xff"}',
    "UTF-16": '{"text": "a"}'.encode("utf-16"),
    "NaN": b'{"text": NaN}',
    "infinity": b'{"items": [-Infinity]}',
    "deep": b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a number of 5,000 digits": b'{"text": ' + b"9" * 5000 + b"}",
    "no items": b'{"items": []}',
    "too many items": json.dumps({"items": [{}] * 5}).encode(),
    "items of no list": b'{"items": {"0": 1}}',
    "a model of no name": b'{"model": 3, "text": "a"}',
    "something beside items": b'{"items": [{}], "text": "a"}',
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        asked(body, LIMITS)
    assert refused.value.status == 422
    assert all(vars(refused.value.told).values())


@given(st.binary())
def test_whatever_bytes_come_they_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Refusal):
        asked(body, LIMITS)


def test_texts_under_other_names_are_told_by_those_names() -> None:
    told = question({"question": "a", "passage": "b"}, True, LIMITS, "")
    reads = "this model reads pairs: a question and a passage"
    mend = "call the fields text and text_pair, not 'question' and 'passage'"
    assert told == Told("text is missing", "text", reads, mend)
    single = question({"question": "a"}, False, LIMITS, "items[1]")
    assert isinstance(single, Told)
    assert single.mend == "call the fields text, not 'question'"


ROWS: dict[str, tuple[Any, str | None]] = {
    "missing": ({}, "text"),
    "null": ({"text": None}, "text"),
    "a number": ({"text": 1e308}, "text"),
    "a list": ({"text": ["a"]}, "text"),
    "empty": ({"text": ""}, "text"),
    "too long": ({"text": "a" * 51}, "text"),
    "a null character": ({"text": "a\0b"}, "text"),
    "half a surrogate pair": ({"text": "a\ud800b"}, "text"),
    "no second": ({"text": "a"}, "text_pair"),
    "a second of no text": ({"text": "a", "text_pair": 3}, "text_pair"),
    "a stranger": ({"text": "a", "text_pair": "b", "\ud800" * 100: 1}, ""),
    "no object": (["a", "b"], ""),
}


@pytest.mark.parametrize(("item", "field"), ROWS.values(), ids=ROWS)
def test_a_row_that_is_none_is_told_where(item: Any, field: str | None) -> None:
    told = question(item, True, LIMITS, "items[2]")
    assert isinstance(told, Told)
    assert told.where == (f"items[2].{field}" if field else "items[2]")
    assert all(vars(told).values())
    json.dumps(vars(told), ensure_ascii=False).encode()


def test_rows_of_pairs_and_of_single_texts() -> None:
    both = {"text": "a", "text_pair": "b\U0001f600"}
    assert question(both, True, LIMITS, "") == Question("a", "b\U0001f600")
    assert question({"text": "a"}, False, LIMITS, "") == Question("a", None)
    assert question({"text": "a", "text_pair": None}, False, LIMITS, "") == Question("a", None)
    told = question(both, False, LIMITS, "")
    assert isinstance(told, Told)
    assert "single texts" in told.why


@given(ANYTHING)
def test_whatever_json_can_say_is_a_row_or_told(item: Any) -> None:
    found = question(item, True, LIMITS, "items[0]")
    assert isinstance(found, Question | Told)


@given(st.text(st.characters()))
def test_what_is_quoted_is_short_and_printable(value: str) -> None:
    assert quoted(value).isascii()
    assert quoted(value).isprintable()
    assert len(quoted(value)) <= 500

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from families import bert_tokenizer, deberta_tokenizer, roberta_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from welltuned.data.corpus import Corpus
from welltuned.errors import UsageError, WelltunedError
from welltuned.tokenizing import splitting
from welltuned.tokenizing.learning import trained
from welltuned.tokenizing.splitting import explain, match, merge

NEAR = ("low", "lower", "newest", "widest", "towers", "slowest", "x", "!")
TEXT = Corpus("made", texts=("low low low low lower newest newest widest, the lowest of the widest towers",) * 3)


@cache
def learned(kind: str) -> Any:
    return trained(TEXT, kind, 300 if kind == "bpe" else 60)


def test_merges_go_by_rank_and_from_the_left() -> None:
    ranks = {("a", "b"): 1, ("b", "c"): 0, ("a", "bc"): 2}
    word = merge("abcab", ranks)
    assert [(step.taken, step.rank, step.state) for step in word.steps] == [
        (["b", "c"], 0, ["a", "bc", "a", "b"]),
        (["a", "b"], 1, ["a", "bc", "ab"]),
        (["a", "bc"], 2, ["abc", "ab"]),
    ]
    assert word.start == list("abcab")


def test_the_longest_piece_from_the_left() -> None:
    model = {
        "vocab": {"un": 0, "una": 1, "##f": 2, "##fford": 3},
        "continuing_subword_prefix": "##",
        "unk_token": "?",
        "max_input_chars_per_word": 20,
    }
    word = match("unafford", model)
    assert word.pieces == ["una", "##fford"]
    assert [(step.taken, step.piece, step.tried) for step in word.steps] == [
        (["unafford"], "una", 6),
        (["fford"], "##fford", 1),
    ]
    assert match("unaz", model).pieces == ["?"]
    assert match("u" * 21, model).pieces == ["?"]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
@given(text=st.text(min_size=1, max_size=30))
def test_any_text_is_split_as_the_library_splits_it(kind: str, text: str) -> None:
    tokenizer = learned(kind)
    try:
        record = explain(text, tokenizer, "made")
    except UsageError:
        return  # nothing left after normalisation, or a special token
    assert record.pieces == [piece for word in record.words for piece in word.pieces]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
@given(words=st.lists(st.sampled_from(NEAR), min_size=1, max_size=5))
def test_words_like_those_learned_from(kind: str, words: list[str]) -> None:
    record = explain(" ".join(words), learned(kind), "made")
    assert record.ids == learned(kind)(" ".join(words), add_special_tokens=False)["input_ids"]
    for word in record.words:
        assert not word.steps or word.steps[-1].state == word.pieces


def test_each_merge_is_the_best_there_is() -> None:
    word = explain("lowest", learned("bpe"), "made").words[0]
    assert word.steps
    for before, step in zip([word.start, *(one.state for one in word.steps)], word.steps, strict=False):
        assert len(step.state) == len(before) - 1
        assert "".join(step.state) == word.word


def test_bytes_without_merges_stay_bytes() -> None:
    record = explain("sun", roberta_tokenizer(), "tiny")
    assert record.pieces == ["s", "u", "n"]
    assert record.words[0].steps == []


@pytest.mark.parametrize(
    ("text", "match"), [("[SEP]", "special token"), ("a [MASK] b", "special token"), (" \u0300", "nothing is left")]
)
def test_what_cannot_be_split(text: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        explain(text, bert_tokenizer(), "tiny")


def test_other_kinds_are_named() -> None:
    with pytest.raises(UsageError, match="Unigram"):
        explain("sun", deberta_tokenizer(), "tiny")


def test_a_disagreement_with_the_library_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "match", lambda word, model: merge(word, {}))
    with pytest.raises(WelltunedError, match="the library says"):
        explain("sun", bert_tokenizer(), "tiny")

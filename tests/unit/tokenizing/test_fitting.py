from __future__ import annotations

import pytest
from families import bert_tokenizer, roberta_tokenizer

from welltuned.tokenizing.fitting import chunks, fit


def test_counts_by_hand() -> None:
    found = fit(bert_tokenizer(), ["the sun is new", "sunny 漢 sun"])
    assert (found.words, found.tokens, found.unknown, found.whole) == (7, 9, 1, 5)
    assert found.fertility == pytest.approx(9 / 7)
    assert found.unknown_share == pytest.approx(1 / 9)
    assert found.whole_share == pytest.approx(5 / 7)
    assert [(one.word, one.count, one.pieces) for one in found.worst] == [("sunny", 1, ["sun", "##n", "##y"])]


def test_the_costliest_word_over_the_whole_text_comes_first() -> None:
    found = fit(bert_tokenizer(), ["abcdef ab ab ab ab ab ab"])
    assert [(one.word, one.extra) for one in found.worst] == [("ab", 6), ("abcdef", 5)]


def test_bytes_are_never_unknown() -> None:
    found = fit(roberta_tokenizer(), ["ü 漢"])
    assert found.unknown == 0
    assert found.tokens == len("ü 漢".encode())


def test_no_text_at_all() -> None:
    found = fit(bert_tokenizer(), [])
    assert (found.fertility, found.unknown_share, found.whole_share, found.worst) == (0, 0, 0, [])


def test_chunks() -> None:
    assert list(chunks(range(5), 2)) == [[0, 1], [2, 3], [4]]

from __future__ import annotations

import numpy as np
import pytest
from families import bert_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from welltuned.pretraining.masking import IGNORED, masked, show
from welltuned.pretraining.rows import Packing, Rows, packing
from welltuned.pretraining.tokens import Stream

SPECIAL = frozenset({0, 2, 3, 4})
HOW = Packing(length=128, cls=2, sep=3, pad=0, masked=4, special=SPECIAL, vocabulary=1000)


def rows(count: int, words: int, seed: int = 0) -> Rows:
    """Packed rows of a stream of words of one to four tokens, a separator after every tenth word."""
    random = np.random.default_rng(seed)
    ids: list[int] = []
    starts: list[int] = []
    for word in range(words):
        length = int(random.integers(1, 5))
        ids += random.integers(5, 1000, length).tolist()
        starts += [1] + [0] * (length - 1)
        if word % 10 == 9:
            ids.append(3)
            starts.append(1)
    stream = Stream(np.array(ids, np.int32), np.array(starts, np.uint8))
    return HOW.rows(stream, np.arange(min(count, HOW.count(stream))))


@given(st.integers(0, 1000), st.booleans(), st.floats(0.05, 0.9))
def test_labels_are_the_originals_of_chosen_tokens_and_nothing_else(seed: int, whole: bool, rate: float) -> None:
    made = rows(3, 200, seed)
    hidden = masked(made, HOW, rate, whole, np.random.default_rng(seed))
    chosen = hidden.labels != IGNORED
    assert (hidden.labels[chosen] == made.ids[chosen]).all()
    assert (hidden.inputs[~chosen] == made.ids[~chosen]).all()
    assert not (chosen & ~made.real).any(), "special tokens and padding are never chosen"
    replaced = hidden.inputs[chosen]
    assert not np.isin(replaced, list(SPECIAL - {4})).any()


@given(st.integers(0, 1000), st.floats(0.05, 0.9))
def test_so_many_tokens_are_chosen_in_every_row(seed: int, rate: float) -> None:
    made = rows(3, 200, seed)
    chosen = masked(made, HOW, rate, False, np.random.default_rng(seed)).labels != IGNORED
    for row in range(len(chosen)):
        assert chosen[row].sum() == max(1, round(rate * made.real[row].sum()))


@given(st.integers(0, 1000), st.floats(0.05, 0.9))
def test_whole_words_are_chosen_or_left_together(seed: int, rate: float) -> None:
    made = rows(3, 200, seed)
    chosen = masked(made, HOW, rate, True, np.random.default_rng(seed)).labels != IGNORED
    inside = made.real[:, 1:] & ~made.starts[:, 1:] & made.real[:, :-1]
    assert (chosen[:, 1:] == chosen[:, :-1])[inside].all()
    budget = np.round(rate * made.real.sum(axis=1))
    assert (chosen.sum(axis=1) <= np.maximum(budget, 4)).all()
    assert (chosen.sum(axis=1) >= budget - 3).all()


def test_eighty_ten_ten() -> None:
    made = rows(400, 25_000)
    hidden = masked(made, HOW, 0.15, False, np.random.default_rng(0))
    chosen = hidden.labels != IGNORED
    given_, true = hidden.inputs[chosen], made.ids[chosen]
    for count, share in (((given_ == 4).sum(), 0.8), ((given_ == true).sum(), 0.1 + 0.1 / 996)):
        low, high = binom.interval(1 - 1e-6, len(true), share)
        assert low <= count <= high
    other = given_[(given_ != 4) & (given_ != true)]
    assert np.unique(other).size > 400, "random tokens come from all of the vocabulary"


def test_a_row_of_one_long_word_is_hidden_whole() -> None:
    stream = Stream(np.arange(5, 25, dtype=np.int32), np.array([1, *[0] * 19], np.uint8))
    hidden = masked(HOW.rows(stream, np.arange(1)), HOW, 0.15, True, np.random.default_rng(0))
    assert (hidden.labels != IGNORED).sum() == 20


@pytest.mark.parametrize("whole", [False, True])
def test_a_row_without_text(whole: bool) -> None:
    stream = Stream(np.array([3], np.int32), np.ones(1, np.uint8))
    hidden = masked(HOW.rows(stream, np.arange(1)), HOW, 0.15, whole, np.random.default_rng(0))
    assert (hidden.labels == IGNORED).all()


def test_what_is_shown_is_what_is_trained_on() -> None:
    tokenizer = bert_tokenizer()
    how = packing(tokenizer, 64)
    ids = np.array(tokenizer("the sun is new and the moon is old", add_special_tokens=False)["input_ids"], np.int32)
    made = how.rows(Stream(ids, np.ones(len(ids), np.uint8)), np.arange(1))
    hidden = masked(made, how, 0.5, False, np.random.default_rng(1))
    shown = show(made, hidden, how, tokenizer, 0, 8)
    assert len(shown) == 8
    assert shown[0].model_dump() == {"piece": "[CLS]", "given": "[CLS]", "label": None, "treatment": "special"}
    for at, one in enumerate(shown):
        assert tokenizer.convert_tokens_to_ids(one.given) == hidden.inputs[0, at]
        assert (one.label is None) == (hidden.labels[0, at] == IGNORED)
        assert one.label in (None, one.piece)
        assert (one.given == "[MASK]") == (one.treatment == "masked")
        assert (one.treatment == "kept") == (one.label is not None and one.given == one.piece)
    assert {one.treatment for one in shown} >= {"masked", "not chosen"}

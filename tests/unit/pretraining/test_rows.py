from __future__ import annotations

import numpy as np
import pytest
from families import bert_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from welltuned.errors import UsageError
from welltuned.pretraining.rows import Packing, packing, rows_of_step
from welltuned.pretraining.tokens import Stream

CLS, SEP, PAD, MASK = 2, 3, 0, 4
HOW = Packing(length=6, cls=CLS, sep=SEP, pad=PAD, masked=MASK, special=frozenset({0, 2, 3, 4}), vocabulary=30)


def stream(*ids: int) -> Stream:
    return Stream(np.array(ids, np.int32), np.ones(len(ids), np.uint8))


def test_rows_are_full_and_framed() -> None:
    text = stream(10, 11, SEP, 12, SEP, 13, 14, 15, SEP, 16)
    assert HOW.count(text) == 3
    rows = HOW.rows(text, np.arange(3))
    assert rows.ids.tolist() == [
        [CLS, 10, 11, SEP, 12, SEP],
        [CLS, 13, 14, 15, SEP, PAD],
        [CLS, 16, SEP, PAD, PAD, PAD],
    ]
    assert rows.mask.tolist() == [[1] * 6, [1] * 5 + [0], [1] * 3 + [0] * 3]
    assert rows.real.sum() == 7


@given(st.lists(st.sampled_from([SEP, *range(5, 30)]), min_size=1, max_size=60), st.integers(8, 20))
def test_no_token_of_the_text_is_lost_or_doubled(ids: list[int], length: int) -> None:
    how = Packing(length, CLS, SEP, PAD, MASK, HOW.special, 30)
    rows = how.rows(stream(*ids), np.arange(how.count(stream(*ids))))
    assert rows.ids[rows.real].tolist() == [one for one in ids if one != SEP]
    assert rows.ids.shape[1] <= length
    assert (rows.ids[:, 0] == CLS).all()
    assert (rows.ids[np.arange(len(rows.ids)), rows.mask.sum(axis=1) - 1] == SEP).all()


@given(st.integers(1, 50), st.integers(1, 20), st.integers(0, 5))
def test_every_epoch_visits_each_row_once(count: int, batch: int, epoch: int) -> None:
    per = -(-count // batch)
    seen = np.concatenate([rows_of_step(epoch * per + at, count, batch, 7) for at in range(per)])
    assert sorted(seen.tolist()) == list(range(count))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    orders = {tuple(rows_of_step(step, 20, 20, seed).tolist()) for step in (0, 1) for seed in (0, 1)}
    assert len(orders) == 4


def test_special_tokens_come_from_the_tokenizer_and_unknown_ones_are_text() -> None:
    how = packing(bert_tokenizer(), 16)
    assert (how.cls, how.sep, how.pad, how.masked) == (2, 3, 0, 4)
    assert how.special == {0, 2, 3, 4}


def test_a_tokenizer_without_a_mask_token() -> None:
    bare = PreTrainedTokenizerFast(
        tokenizer_object=bert_tokenizer().backend_tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    with pytest.raises(UsageError, match="no mask token"):
        packing(bare, 16)

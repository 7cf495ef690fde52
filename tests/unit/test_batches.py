from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from families import FAMILIES, examples, tokenized
from hypothesis import given
from hypothesis import strategies as st

from welltuned.batches import (
    A_PIECE,
    TokenizedSplit,
    cut_evenly,
    cut_where_it_pays,
    epoch_batches,
    longest_first,
    rows_within,
    sorted_batches,
    tokenize,
)
from welltuned.data.dataset import Split
from welltuned.pretrained import Pretrained
from welltuned.record import Truncation

Find = Callable[[str], Pretrained]


def split_of(texts: list[str], pairs: list[str] | None) -> Split:
    labels = np.arange(len(texts), dtype=np.int64)
    return Split(tuple(texts), None if pairs is None else tuple(pairs), labels, ("",) * len(texts))


def row(split: TokenizedSplit, index: int) -> list[int]:
    return split.ids[split.offsets[index] : split.offsets[index + 1]].tolist()


def ragged(lengths: list[int]) -> TokenizedSplit:
    """A split of rows of these lengths; token i of row n is n."""
    n = len(lengths)
    ids = np.repeat(np.arange(n), lengths).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    labels, uncut = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    types = np.zeros(len(ids), np.uint8)
    return TokenizedSplit(ids, types, offsets, labels, 0, False, 1000, Truncation(rows=n, cut=0), uncut)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_pair_is_joined_by_the_familys_own_template(family, tiny: Find) -> None:
    tokenizer = tiny(family.name).tokenizer
    question, passage = "is it red", "the sun was big"
    split = tokenize(split_of([question], [passage]), tokenizer, 64)
    ids = row(split, 0)
    parts = {
        name: tokenizer(text, add_special_tokens=False)["input_ids"] for name, text in (("A", question), ("B", passage))
    }
    expected = [i for piece in family.template for i in parts.get(piece) or [tokenizer.convert_tokens_to_ids(piece)]]
    assert ids == expected == tokenizer(question, passage)["input_ids"]
    assert split.has_types == family.has_types
    if family.has_types:
        assert split.types.tolist() == tokenizer(question, passage)["token_type_ids"]
        assert split.types.max() == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_literal_separator_in_a_text_is_no_row_of_ours(family: str, tiny: Find) -> None:
    """Our own joining never goes through text: a row of two texts differs from the texts pasted with [SEP]."""
    tokenizer = tiny(family).tokenizer
    pair = row(tokenize(split_of(["is it"], ["red"]), tokenizer, 64), 0)
    pasted = row(tokenize(split_of(["is it [SEP] red"], None), tokenizer, 64), 0)
    assert pair == tokenizer("is it", "red")["input_ids"]
    assert pasted == tokenizer("is it [SEP] red")["input_ids"]
    if tokenizer.sep_token != "[SEP]":
        assert pair != pasted


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_passage_is_cut(family: str, tiny: Find) -> None:
    tokenizer = tiny(family).tokenizer
    questions, passages = ["is it", "is it"], ["the sun " * 40, "the sun"]
    split = tokenize(split_of(questions, passages), tokenizer, 32)
    whole = [tokenizer(q, p)["input_ids"] for q, p in zip(questions, passages, strict=True)]
    assert row(split, 0)[:-1] == whole[0][:31]
    assert row(split, 0)[-1] == whole[0][-1]
    assert row(split, 1) == whole[1]
    assert split.cut.tolist() == [True, False]
    assert split.truncation == Truncation(rows=2, cut=1, questions_cut=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_question_leaves_room_for_the_passage(family: str, tiny: Find) -> None:
    tokenizer = tiny(family).tokenizer
    split = tokenize(split_of(["is it red " * 30, "is it"], ["the sun " * 20, "red"]), tokenizer, 32)
    assert split.truncation == Truncation(rows=2, cut=1, questions_cut=1)
    assert split.lengths.max() <= 32
    text = tokenizer.decode(row(split, 0))
    assert "is it red" in text
    assert "the sun" in text
    assert row(split, 1) == tokenizer("is it", "red")["input_ids"]


def test_a_long_question_beside_a_short_passage(tiny: Find) -> None:
    """Nothing of the passage is lost, but the row has lost tokens all the same."""
    split = tokenize(split_of(["is it red " * 30], ["sun"]), tiny("bert").tokenizer, 32)
    assert split.lengths.tolist() == [(32 - 3) // 2 + 1 + 3]
    assert split.truncation == Truncation(rows=1, cut=1, questions_cut=1)


@pytest.mark.parametrize(("max_length", "length", "kept"), [(12, 12, "月"), (16, 16, "月は"), (20, 17, "月は")])
def test_a_question_of_few_characters_and_many_tokens(max_length: int, length: int, kept: str, tiny: Find) -> None:
    """Byte-level tokenizers make up to four tokens of one character."""
    split = tokenize(split_of(["月は赤いか"], ["the sun"]), tiny("roberta").tokenizer, max_length)
    assert split.lengths.tolist() == [length]
    assert split.truncation.questions_cut == 1
    assert split.truncation.cut == 1
    assert tiny("roberta").tokenizer.decode(row(split, 0)).startswith(f"<s>{kept}</s></s>t")


@pytest.mark.parametrize("family", FAMILIES)
def test_single_texts(family: str, tiny: Find) -> None:
    tokenizer = tiny(family).tokenizer
    split = tokenize(split_of(["is it", "the sun " * 40], None), tokenizer, 16)
    assert row(split, 0) == tokenizer("is it")["input_ids"]
    assert split.lengths[1] == 16
    assert split.truncation == Truncation(rows=2, cut=1)


def test_more_rows_than_one_chunk_keep_their_order(tiny: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    from welltuned import batches

    rows = examples(23)
    whole = tokenize(rows, tiny("bert").tokenizer, 10)
    monkeypatch.setattr(batches, "CHUNK", 4)
    pieces = tokenize(rows, tiny("bert").tokenizer, 10)
    assert 0 < whole.truncation.cut < 23
    for name in ("ids", "types", "offsets", "labels", "cut"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))
    assert whole.truncation == pieces.truncation


def test_sealed_labels_stay_sealed(tiny: Find) -> None:
    split = tokenize(examples(3).sealed(), tiny("bert").tokenizer, 64)
    assert split.labels is None
    assert split.batch(np.array([0, 1])).labels is None


def test_batch_shapes(tiny: Find) -> None:
    split = tokenized(tiny("bert"))
    assert split.types.any()
    rows = np.array([3, 0, 5])
    batch = split.batch(rows)
    longest = split.lengths[rows].max()
    assert batch.ids.shape == batch.mask.shape == batch.types.shape  # type: ignore[union-attr]
    assert batch.ids.shape[0] == len(batch) == 3
    assert batch.ids.shape[1] % 8 == 0
    assert longest <= batch.ids.shape[1] < longest + 8
    assert batch.mask.sum(dim=1).tolist() == split.lengths[rows].tolist()
    assert batch.rows.tolist() == rows.tolist()
    assert batch.labels.tolist() == split.labels[rows].tolist()  # type: ignore[union-attr,index]
    for at, index in enumerate(rows):
        length = split.lengths[index]
        assert batch.ids[at, :length].tolist() == row(split, index)
        assert (batch.ids[at, length:] == split.pad).all()
        assert not batch.mask[at, length:].any()
        start = split.offsets[index]
        assert batch.types[at, :length].tolist() == split.types[start : start + length].tolist()  # type: ignore[index]
    assert tokenized(tiny("roberta")).batch(rows).types is None


def test_no_batch_is_padded_beyond_the_longest_row_allowed(tiny: Find) -> None:
    split = tokenize(examples(4, longest=40), tiny("bert").tokenizer, 13)
    assert split.lengths.max() == 13
    assert split.batch(np.arange(4)).ids.shape == (4, 13)


def test_taking_rows(tiny: Find) -> None:
    split = tokenized(tiny("bert"))
    split = replace(split, features=torch.arange(len(split)).float()[:, None])
    few = split.take(np.array([4, 1]))
    assert [row(few, 0), row(few, 1)] == [row(split, 4), row(split, 1)]
    assert few.labels.tolist() == split.labels[[4, 1]].tolist()  # type: ignore[union-attr,index]
    assert few.features.tolist() == [[4.0], [1.0]]  # type: ignore[union-attr]
    assert few.truncation.rows == len(few) == 2


def test_features_make_batches_without_tokens(tiny: Find) -> None:
    split = tokenized(tiny("bert"))
    split = replace(split, features=torch.randn(len(split), 4))
    batch = split.batch(np.array([2, 1]))
    assert torch.equal(batch.features, split.features[[2, 1]])  # type: ignore[index,arg-type]
    assert batch.ids.numel() == 0
    assert len(batch) == 2
    order = epoch_batches(split, 3, seed=0, epoch=1)
    assert sorted(np.concatenate(order)) == list(range(8))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=300), st.integers(1, 16), st.integers(0, 5))
def test_an_epoch_visits_each_row_once(lengths: list[int], batch_size: int, seed: int) -> None:
    split = ragged(lengths)
    batches = epoch_batches(split, batch_size, seed, 1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    assert len(batches) == -(-len(lengths) // batch_size)
    again = epoch_batches(split, batch_size, seed, 1)
    assert [rows.tolist() for rows in batches] == [rows.tolist() for rows in again]


def test_the_order_differs_by_seed_and_epoch() -> None:
    split = ragged(np.random.default_rng(0).integers(5, 60, 200).tolist())
    orders = {
        tuple(np.concatenate(epoch_batches(split, 8, seed, epoch)).tolist()) for seed in (0, 1) for epoch in (1, 2, 3)
    }
    assert len(orders) == 6


def test_buckets_pad_little_and_keep_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 250, 3200)
    split = ragged(lengths.tolist())
    batches = epoch_batches(split, 16, 0, 1)
    padded = sum(len(rows) * lengths[rows].max() for rows in batches)
    shuffled = np.random.default_rng(1).permutation(3200).reshape(-1, 16)
    unsorted = sum(len(rows) * lengths[rows].max() for rows in shuffled)
    assert padded < 1.05 * lengths.sum()
    assert unsorted > 1.5 * lengths.sum()
    means = np.array([lengths[rows].mean() for rows in batches])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.25


def test_sorted_batches_begin_with_the_longest() -> None:
    batches = list(sorted_batches(ragged([3, 9, 1, 7, 7]), 2))
    assert [batch.rows.tolist() for batch in batches] == [[1], [3, 4], [0, 2]]


def test_sorted_batches_keep_to_their_tokens() -> None:
    split = ragged([3, 90, 1, 70, 70])
    assert [batch.rows.tolist() for batch in sorted_batches(split, 9, 150)] == [[1], [3, 4], [0, 2]]
    assert [batch.rows.tolist() for batch in sorted_batches(split, 9, 80)] == [[1], [3], [4], [0, 2]]
    assert [batch.rows.tolist() for batch in sorted_batches(split, 1, 150)] == [[1], [3], [4], [0], [2]]


def padded_width(length: int) -> int:
    return -(-length // 8) * 8


def cost_of(cut: list[list[int]], tokens: int) -> float:
    """Tokens with padding, and a part of the most tokens for every piece."""
    return sum(len(piece) * padded_width(max(piece)) + tokens // A_PIECE for piece in cut)


def all_cuts(lengths: list[int]) -> list[list[list[int]]]:
    if not lengths:
        return [[]]
    return [[lengths[:first], *others] for first in range(1, len(lengths) + 1) for others in all_cuts(lengths[first:])]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=9), st.integers(8, 400), st.integers(1, 9), st.booleans())
def test_rows_are_cut_where_it_costs_least(lengths: list[int], tokens: int, most: int, longest_first: bool) -> None:
    """Against every cut there is."""
    lengths = sorted(lengths, reverse=longest_first)
    found = [lengths[one] for one in cut_where_it_pays(np.array(lengths), tokens, most)]
    assert [length for piece in found for length in piece] == lengths

    def fits(piece: list[int]) -> bool:
        return len(piece) <= most and (len(piece) == 1 or len(piece) * padded_width(max(piece)) <= tokens)

    allowed = [cut for cut in all_cuts(lengths) if all(map(fits, cut))]
    assert all(map(fits, found))
    assert cost_of(found, tokens) == min(cost_of(cut, tokens) for cut in allowed)


def test_a_long_row_does_not_make_short_ones_as_long() -> None:
    lengths = np.array([20] * 30 + [250] * 2)
    assert cut_where_it_pays(lengths, 4096, 32) == [slice(0, 30), slice(30, 32)]
    assert cut_where_it_pays(lengths[:30], 4096, 32) == [slice(0, 30)], "each piece has its price"
    assert cut_where_it_pays(lengths[:0], 4096, 32) == []


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(1, 400), st.integers(1, 40))
def test_rows_end_to_end_are_cut_evenly(lengths: list[int], tokens: int, most: int) -> None:
    pieces = [lengths[one] for one in cut_evenly(np.array(lengths, np.int64), tokens, most)]
    assert [length for piece in pieces for length in piece] == lengths
    assert all(len(piece) == 1 or (len(piece) <= most and sum(piece) <= tokens) for piece in pieces)
    if len(lengths) <= most and sum(lengths) <= tokens:
        assert len(pieces) == (len(lengths) > 0)


def test_pieces_of_equal_rows_are_equal() -> None:
    assert [len(range(9)[one]) for one in cut_evenly(np.full(9, 50), 400, 4)] == [3, 3, 3]
    assert [len(range(64)[one]) for one in cut_evenly(np.full(64, 100), 6144, 64)] == [32, 32]


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=80),
    st.integers(1, 500) | st.none(),
    st.integers(1, 64),
    st.booleans(),
)
def test_pieces_are_the_rows_in_their_order(lengths: list[int], tokens: int | None, most: int, joined: bool) -> None:
    split = ragged(lengths)
    rows = longest_first(split)
    pieces = split.pieces(rows, tokens, most, joined=joined)
    assert np.concatenate(pieces).tolist() == rows.tolist()
    assert max(map(len, pieces)) <= most
    if tokens is None:
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def test_one_row_is_taken_however_long() -> None:
    assert rows_within(8, 100, 32) == 1
    assert rows_within(None, 100, 32) == 32
    assert rows_within(250, 100, 32) == 2

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from welltuned.serving.batching import SPARED, together

LENGTHS = st.lists(st.integers(3, 256), min_size=1, max_size=80)


def area(lengths: list[int]) -> int:
    return len(lengths) * -(-max(lengths) // 8) * 8


@given(LENGTHS, st.integers(1, 4096), st.integers(1, 64))
def test_the_oldest_goes_and_the_batch_keeps_its_bounds(lengths: list[int], tokens: int, rows: int) -> None:
    chosen = together(lengths, tokens, rows)
    assert 0 in chosen
    assert len(set(chosen)) == len(chosen) <= rows
    batch = [lengths[i] for i in chosen]
    assert batch == sorted(batch)
    if len(batch) > 1:
        assert area(batch) <= tokens
        assert len(batch) * max(batch) - sum(batch) <= SPARED * (len(batch) - 1)


@given(LENGTHS)
def test_rows_of_one_batch_are_neighbours_in_length(lengths: list[int]) -> None:
    batch = [lengths[i] for i in together(lengths, 2048, 16)]
    between = [n for n in lengths if min(batch) < n < max(batch)]
    assert all(n in batch for n in between)


def test_equal_lengths_fill_the_batch() -> None:
    assert len(together([32] * 100, 2048, 200)) == 64
    assert len(together([32] * 100, 2048, 10)) == 10


def test_a_short_row_does_not_wait_for_long_ones_to_be_padded_to() -> None:
    assert together([8, 200, 210], 2048, 64) == [0]
    assert together([200, 8, 210], 2048, 64) == [0, 2]


def test_a_row_beyond_the_budget_goes_alone() -> None:
    assert together([500, 500], 256, 64) == [0]

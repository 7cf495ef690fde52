from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from welltuned.data.dataset import Split
from welltuned.data.splits import cap, complete, cut, fingerprint, normalise, pool, refuse_untrained, three_way
from welltuned.errors import DataError


def rows(passages: Sequence[str], start: int = 0) -> Split:
    n = len(passages)
    return Split(
        text=tuple(f"question {start + i}" for i in range(n)),
        pair=tuple(passages),
        label=np.arange(n, dtype=np.int64) % 2,
        origin=tuple(f"a.csv:{start + i + 2}" for i in range(n)),
    )


def single(n: int, start: int = 0) -> Split:
    return rows([f"passage {start + i}" for i in range(n)], start)


def groups(split: Split) -> set[str]:
    return {normalise(split.group(i)) for i in range(len(split))}


def same(a: Split, b: Split) -> bool:
    return (a.text, a.pair, a.origin) == (b.text, b.pair, b.origin) and np.array_equal(a.label, b.label)


PASSAGES = st.lists(st.sampled_from([*"abcdefghijkl", "A", " b", "ﬁ", "fi"]), min_size=10, max_size=60)


@settings(deadline=None)
@given(passages=PASSAGES, seed=st.integers(0, 2**32))
def test_no_group_in_two_parts_and_no_row_lost(passages: list[str], seed: int) -> None:
    table = rows(passages)
    try:
        parts = three_way(table, seed)
    except DataError:
        assume(False)  # too few passages to cut
    found = list(parts.values())
    for i, left in enumerate(found):
        for right in found[i + 1 :]:
            assert not groups(left) & groups(right)
    assert sorted(text for part in found for text in part.text) == sorted(table.text)


@settings(deadline=None)
@given(passages=PASSAGES, seed=st.integers(0, 99))
def test_cut_does_not_depend_on_the_order_of_rows(passages: list[str], seed: int) -> None:
    table = rows(passages)
    order = np.random.default_rng(seed).permutation(len(table))
    try:
        part, _ = cut(table, 0.3, seed, "test")
    except DataError:
        assume(False)
    other, _ = cut(table.take(order), 0.3, seed, "test")
    assert set(part.text) == set(other.text)


def test_cut_has_the_exact_size_and_keeps_the_order() -> None:
    table = single(1000)
    part, rest = cut(table, 0.15, 0, "test")
    assert (len(part), len(rest)) == (150, 850)
    place = {origin: i for i, origin in enumerate(table.origin)}
    for found in (part, rest):
        assert [place[o] for o in found.origin] == sorted(place[o] for o in found.origin)


def test_seeds_cut_differently_and_alike_twice() -> None:
    table = single(100)
    assert same(cut(table, 0.2, 1, "test")[0], cut(table, 0.2, 1, "test")[0])
    assert not same(cut(table, 0.2, 1, "test")[0], cut(table, 0.2, 2, "test")[0])


def test_cut_is_random() -> None:
    shares = [np.mean([int(t.split()[1]) < 500 for t in cut(single(1000), 0.2, s, "test")[0].text]) for s in range(20)]
    assert 0.45 < np.mean(shares) < 0.55


def test_rows_of_one_text_are_grouped_by_it() -> None:
    twice = Split(("a", "A ", *map(str, range(20))), None, np.zeros(22, np.int64), ("x",) * 22)
    for seed in range(20):
        part, rest = cut(twice, 0.5, seed, "test")
        assert not groups(part) & groups(rest)


@pytest.mark.parametrize(
    ("sizes", "expected", "said"),
    [
        ({"train": 100}, {"train": 70, "dev": 10, "test": 20}, "one table"),
        ({"train": 100, "dev": 40}, {"train": 85, "dev": 40, "test": 15}, "15 of the 100 train rows become test"),
        ({"train": 40, "dev": 100}, {"train": 40, "dev": 50, "test": 50}, "50 of the 100 dev rows become test"),
        ({"train": 100, "test": 40}, {"train": 90, "dev": 10, "test": 40}, "10 of the 100 train rows become dev"),
        ({"train": 9, "dev": 8, "test": 7}, {"train": 9, "dev": 8, "test": 7}, ""),
    ],
)
def test_missing_splits_are_cut_and_said(sizes: dict[str, int], expected: dict[str, int], said: str) -> None:
    supplied = {name: single(n, start=1000 * i) for i, (name, n) in enumerate(sizes.items())}
    splits, notes = complete(supplied, 0, 0.15)
    assert {name: len(splits[name]) for name in expected} == expected
    assert said in " ".join(notes)
    assert bool(notes) == bool(said)
    for name in sizes.keys() & {"test"}:
        assert splits[name] is supplied[name]


def test_pool_mixes_all_rows_and_drops_repeated_ones() -> None:
    train, dev = single(80), single(40, start=60)
    dev = Split(dev.text, dev.pair, (np.arange(40, dtype=np.int64) + 60) % 2, dev.origin)
    splits, notes = pool({"train": train, "dev": dev}, 0)
    assert [len(splits[name]) for name in ("train", "dev", "test")] == [70, 10, 20]
    assert "20 rows that repeat" in notes[1]
    assert not groups(splits["train"]) & groups(splits["test"])


def test_pool_keeps_rows_with_other_labels() -> None:
    train = single(80)
    flipped = Split(train.text, train.pair, 1 - train.label, train.origin)  # type: ignore[operator]
    assert sum(map(len, pool({"train": train, "dev": flipped}, 0)[0].values())) == 160


def test_cap_is_a_stable_nested_subset() -> None:
    table = single(100)
    ten, thirty = cap(table, 10, 0), cap(table, 30, 0)
    assert (len(ten), len(thirty)) == (10, 30)
    assert set(ten.text) < set(thirty.text)
    assert same(ten, cap(table, 10, 0))
    assert set(ten.text) != set(cap(table, 10, 1).text)
    assert [i for i in table.origin if i in set(ten.origin)] == list(ten.origin)
    assert cap(table, 100, 0) is table
    assert cap(table, None, 0) is table


def test_every_class_must_be_trained() -> None:
    splits = {"train": single(4), "dev": single(4)}
    refuse_untrained(splits, ("a", "b"))
    with pytest.raises(DataError, match=r"a\.csv:3: the class 'b' occurs in dev"):
        refuse_untrained({**splits, "train": splits["train"].take(np.array([0, 2]))}, ("a", "b"))


def test_fingerprint_sees_texts_labels_splits_and_names() -> None:
    a, b = single(4), single(4, start=9)
    flipped = Split(a.text, a.pair, 1 - a.label, a.origin)  # type: ignore[operator]
    moved = Split(("ab", "c"), ("d", "e"), np.zeros(2, np.int64), ("", ""))
    shifted = Split(("a", "bc"), ("d", "e"), np.zeros(2, np.int64), ("", ""))
    prints = [
        fingerprint({"train": a}, ("x", "y")),
        fingerprint({"train": b}, ("x", "y")),
        fingerprint({"train": flipped}, ("x", "y")),
        fingerprint({"dev": a}, ("x", "y")),
        fingerprint({"train": a}, ("x", "z")),
        fingerprint({"train": moved}, ("x", "y")),
        fingerprint({"train": shifted}, ("x", "y")),
    ]
    assert len(set(prints)) == len(prints)
    elsewhere = Split(a.text, a.pair, a.label, ("other",) * 4)
    assert fingerprint({"train": elsewhere}, ("x", "y")) == prints[0]

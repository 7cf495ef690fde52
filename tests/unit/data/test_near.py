from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from welltuned.data.dataset import Split
from welltuned.data.near import NEAR, clusters
from welltuned.data.splits import near_groups, pool


def triples(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    width = min(3, len(words))
    return {tuple(words[i : i + width]) for i in range(len(words) - width + 1)}


def similarity(a: str, b: str) -> float:
    one, other = triples(a), triples(b)
    return len(one & other) / len(one | other)


def texts(n: int, seed: int) -> list[str]:
    """Texts of which some are copies of earlier ones with a few words changed."""
    random = np.random.default_rng(seed)
    made: list[list[str]] = []
    for _ in range(n):
        if made and random.random() < 0.5:
            words = list(made[random.integers(len(made))])
            for _ in range(random.integers(0, 4)):
                words[random.integers(len(words))] = f"x{random.integers(10**6)}"
        else:
            words = [f"w{random.integers(10**6)}" for _ in range(random.integers(1, 80))]
        made.append(words)
    return [" ".join(words) for words in made]


def by_hand(given_texts: list[str]) -> list[int]:
    """The same clusters from every pair, without hashing."""
    label = list(range(len(given_texts)))
    for i, a in enumerate(given_texts):
        for j, b in enumerate(given_texts[:i]):
            if label[i] != label[j] and similarity(a, b) >= NEAR:
                low, high = sorted((label[i], label[j]))
                label = [low if one == high else one for one in label]
    return label


@pytest.mark.parametrize("seed", range(5))
def test_clusters_are_those_of_every_pair_compared(seed: int) -> None:
    made = texts(120, seed)
    assert clusters(made) == by_hand(made)
    assert len(set(by_hand(made))) < 100  # there was something to find


def test_spelling_case_and_punctuation_do_not_count() -> None:
    assert clusters(["Is it so?", "is it so", "IS  IT SO!", "is it not", "", "?!", "..."]) == [0, 0, 0, 3, 4, 5, 6]


def test_scripts_without_spaces_are_read_by_sign() -> None:
    long = "これは長い文章でありほとんど同じものがもう一つあるので見つけなければならない"
    assert clusters([long, long.replace("長", "短"), "全く違う文章である"]) == [0, 0, 2]


@given(st.lists(st.text(max_size=30), max_size=8))
def test_any_texts(made: list[str]) -> None:
    found = clusters(made)
    assert len(found) == len(made)
    assert all(place <= i and found[place] == place for i, place in enumerate(found))
    assert all(found[made.index(text)] == found[i] for i, text in enumerate(made))


def split(passages: list[str]) -> Split:
    n = len(passages)
    return Split(tuple(f"q{i}" for i in range(n)), tuple(passages), np.arange(n) % 2, tuple(f"r:{i}" for i in range(n)))


def test_a_grouped_split_keeps_near_passages_together() -> None:
    rows = split([text.replace("w", f"v{i // 3}") for i, text in enumerate(texts(300, 1))])
    splits, notes = pool({"train": rows}, seed=0)
    where = {question: name for name, part in splits.items() for question in part.text}
    assert rows.pair is not None
    for i, place in enumerate(clusters(rows.pair)):
        assert where[f"q{i}"] == where[f"q{place}"]
    assert any("nearly the same" in note for note in notes)
    assert min(len(part) for part in splits.values()) > 10


def test_keys_do_not_depend_on_the_order_of_rows() -> None:
    made = texts(60, 2)
    order = np.random.default_rng(0).permutation(60)
    there, back = near_groups(split(made)), near_groups(split([made[i] for i in order]))
    assert [there[i] for i in order] == back

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from welltuned.alarms import Rows, raised
from welltuned.data import Columns, Dataset, Split, load_dataset
from welltuned.data.checks import class_balance, contradictions, exact, findings, normalised, overlaps, repetitions
from welltuned.spec import DataSpec


def split(name: str, rows: Sequence[tuple[str, str, int]]) -> Split:
    return Split(
        text=tuple(text for text, _, _ in rows),
        pair=tuple(pair for _, pair, _ in rows),
        label=np.array([label for _, _, label in rows], dtype=np.int64),
        origin=tuple(f"{name}.csv:{i + 2}" for i in range(len(rows))),
    )


def dataset(**rows: Sequence[tuple[str, str, int]]) -> Dataset:
    splits = {name: split(name, rows[name]) for name in ("train", "dev", "test")}
    return Dataset(
        name="made",
        train=splits["train"],
        dev=splits["dev"],
        test=splits["test"].sealed(),
        labels=("no", "yes"),
        columns=Columns("question", "passage", "answer"),
        hash="",
        supplied={"train": splits["train"], "dev": splits["dev"]},
    )


MADE = dataset(
    train=[("q1", "p1", 0), ("q2", "p1", 1), ("q3", "P  2", 0), ("q4", "p4", 1)],
    dev=[("q1", "p1", 0), ("q9", "p 2", 1), ("q8", "p8", 1)],
    test=[("Q4 ", "P4", 1), ("q7", "p7", 0)],
)
CLEAN = dataset(train=[("a", "b", 0), ("c", "d", 1)], dev=[("e", "f", 0), ("g", "h", 1)], test=[("i", "j", 0)])


def test_overlaps() -> None:
    found = {
        (o.left, o.right, o.unit, o.match): (o.distinct, o.left_rows, o.right_rows)
        for o in overlaps(MADE, {"exact": exact, "normalised": normalised}, supplied=False)
    }
    assert found == {
        ("train", "dev", "row", "exact"): (1, 1, 1),
        ("train", "dev", "row", "normalised"): (1, 1, 1),
        ("train", "dev", "passage", "exact"): (1, 2, 1),
        ("train", "dev", "passage", "normalised"): (2, 3, 2),
        ("train", "test", "row", "exact"): (0, 0, 0),
        ("train", "test", "row", "normalised"): (1, 1, 1),
        ("train", "test", "passage", "exact"): (0, 0, 0),
        ("train", "test", "passage", "normalised"): (1, 1, 1),
        ("dev", "test", "row", "exact"): (0, 0, 0),
        ("dev", "test", "row", "normalised"): (0, 0, 0),
        ("dev", "test", "passage", "exact"): (0, 0, 0),
        ("dev", "test", "passage", "normalised"): (0, 0, 0),
    }


def test_near_passages_are_found_with_examples() -> None:
    words = [f"word{i}" for i in range(60)]
    near, far = [*words], [*words]
    near[30], far[10:40] = "other", [f"else{i}" for i in range(30)]
    made = dataset(
        train=[("q1", " ".join(words), 0), ("q2", "p2", 1)],
        dev=[("q3", " ".join(near), 1), ("q4", "p4", 1)],
        test=[("q5", " ".join(far), 1)],
    )
    found = {(o.left, o.right): o for o in overlaps(made) if o.match == "near-duplicate" and o.unit == "passage"}
    assert [one.distinct for one in found.values()] == [1, 0, 0]
    (said,) = [one for one in findings(made) if "after cutting" in one.what]
    assert said.what == "1 passages (near-duplicate) stand both in train and in dev after cutting: 1 and 1 rows"
    assert "(train.csv:2 and dev.csv:2)" in said.examples[0]


def test_overlaps_as_supplied_are_told_apart() -> None:
    supplied = [o for o in overlaps(MADE) if o.supplied]
    assert {(o.left, o.right) for o in supplied} == {("train", "dev")}
    assert max(o.distinct for o in supplied) == 2


def test_examples_name_both_places() -> None:
    found = next(o for o in overlaps(MADE) if o.unit == "passage" and o.match == "normalised")
    assert [(e.text, e.left, e.right) for e in found.examples] == [
        ("P 2", "train.csv:4", "dev.csv:3"),
        ("p1", "train.csv:2", "dev.csv:2"),
    ]


def test_at_most_three_examples() -> None:
    rows = [(f"q{i}", f"p{i}", 0) for i in range(9)]
    found = overlaps(dataset(train=rows, dev=rows, test=rows))
    assert {(o.distinct, len(o.examples)) for o in found} == {(9, 3)}


def test_a_matcher_may_look_at_all_texts_at_once() -> None:
    def by_first_seen_length(texts: Sequence[str]) -> list[int]:
        lengths = sorted({len(text) for text in texts})
        return [lengths.index(len(text)) for text in texts]

    found = overlaps(MADE, {"length": by_first_seen_length})
    assert next(o for o in found if o.unit == "passage").left_rows == 3


def test_class_balance() -> None:
    balances = {balance.split: balance for balance in class_balance(MADE)}
    assert balances["train"].counts == {"no": 2, "yes": 2}
    assert balances["dev"].majority == ("yes", 2 / 3)
    assert "test" not in balances


def test_contradictions_and_repetitions() -> None:
    made = dataset(
        train=[("q", "p", 0), ("Q", "p ", 1), ("r", "p", 1), ("r", "p", 1)],
        dev=[("a", "b", 0)],
        test=[("c", "d", 0)],
    )
    assert [(r.origin, r.labels) for r in contradictions(made)] == [(("train.csv:2", "train.csv:3"), ("no", "yes"))]
    assert len(repetitions(made.train, made.labels)) == 2
    assert repetitions(made.test, made.labels) == []


def test_findings() -> None:
    assert findings(CLEAN) == []
    said = [f.what for f in findings(MADE)]
    assert "2 passages (normalised) stand both in train and in dev after cutting: 3 and 2 rows" in said
    bad = dataset(
        train=[("q", "same", 0), ("q", "same", 1), *[(f"q{i}", "same", 0) for i in range(30)]],
        dev=[("", "x", 0)],
        test=[("c", "d", 0)],
    )
    said = [f.what for f in findings(bad)]
    for part in ("different labels", "of the train rows", "no dev row", "empty text", "same second text"):
        assert any(part in what for what in said), part


BOOLQ = Path(os.environ.get("WELLTUNED_BOOLQ", Path(__file__).resolve().parents[4] / "shared" / "data" / "boolq"))


@pytest.mark.skipif(not BOOLQ.is_dir(), reason="no BoolQ: neither WELLTUNED_BOOLQ nor ../shared/data/boolq is a folder")
def test_boolq_shares_224_passages() -> None:
    data = load_dataset(DataSpec(source=str(BOOLQ)))
    found = {
        (o.match, o.supplied): (o.distinct, o.left_rows, o.right_rows)
        for o in overlaps(data)
        if o.unit == "passage" and (o.left, o.right) == ("train", "dev")
    }
    # Compared character by character; a 225th differs in case, Unicode form or white space.
    assert found["exact", True] == (224, 290, 339)
    assert found["normalised", True] == (225, 292, 341)
    assert found["near-duplicate", True] == (243, 326, 367)
    within = [o for o in overlaps(data, supplied=False) if (o.left, o.right) == ("dev", "test")]
    assert all(o.distinct == 0 for o in within if o.match != "near-duplicate")
    assert any(one.kind == "leak-passages" and "(near-duplicate" in one.what for one in raised(Rows(data)))
    grouped = load_dataset(DataSpec(source=str(BOOLQ), split="grouped"))
    assert all(o.distinct == 0 for o in overlaps(grouped, supplied=False))
    assert raised(Rows(grouped)) == []

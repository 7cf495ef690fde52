from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from welltuned.baselines import majority, tfidf
from welltuned.data import Columns, Dataset, Split
from welltuned.errors import UsageError

WORDS = ("apple", "bread", "cheese", "dates")


def split(rng: np.random.Generator, n: int, classes: int) -> Split:
    """Rows whose class is told by a word of the first text; the second text is noise."""
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, n - classes)])
    texts = tuple(f"we eat {WORDS[label % 4]} {label // 4} today" for label in labels)
    pairs = tuple(f"noise {rng.integers(0, 50)} and {rng.integers(0, 50)}" for _ in labels)
    return Split(texts, pairs, labels.astype(np.int64), ("",) * n)


def dataset(classes: int, sizes: Sequence[int] = (200, 50, 40)) -> Dataset:
    rng = np.random.default_rng(0)
    train, dev, test = (split(rng, n, classes) for n in sizes)
    names = tuple(f"class {i}" for i in range(classes))
    sealed = test.sealed()
    return Dataset("made", train, dev, sealed, names, Columns("text", "pair", "label"), "", unseal=lambda: test.label)  # type: ignore[arg-type,return-value]


def accuracy(logits: np.ndarray, labels: np.ndarray | None) -> float:
    return float(np.mean(logits.argmax(axis=1) == labels))


@pytest.mark.parametrize("classes", [2, 3, 30])
def test_shapes_and_probabilities(classes: int) -> None:
    data = dataset(classes)
    for baseline in (majority(data), tfidf(data)):
        assert baseline.dev.shape == (50, classes)
        assert baseline.test.shape == (40, classes)
        assert baseline.dev.dtype == baseline.test.dtype == np.float32
        np.testing.assert_allclose(np.exp(baseline.dev).sum(axis=1), 1, atol=1e-5)
        assert np.isfinite(baseline.test).all()
        assert baseline.seconds > 0
        assert baseline.converged


def test_majority_is_the_class_frequencies_of_train() -> None:
    data = dataset(3)
    baseline = majority(data)
    shares = np.bincount(data.train.label, minlength=3) / 200  # type: ignore[arg-type]
    np.testing.assert_allclose(np.exp(baseline.test), np.tile(shares, (40, 1)), rtol=1e-5)
    assert baseline.parameters == 3


def test_tfidf_reads_the_fields_it_is_told() -> None:
    data = dataset(4)
    truth = data.unseal()
    assert accuracy(tfidf(data, "both").test, truth) > 0.95
    assert accuracy(tfidf(data, "text").test, truth) > 0.95
    assert accuracy(tfidf(data, "pair").test, truth) < 0.6
    assert "pair only" in tfidf(data, "pair").name


def test_the_two_texts_have_vocabularies_of_their_own() -> None:
    """Where the same word says yes in the question and no in the passage, one vocabulary could not tell."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 200)
    texts = tuple("sun" if label else "moon" for label in labels)
    pairs = tuple("moon" if label else "sun" for label in labels)
    rows = Split(texts, pairs, labels.astype(np.int64), ("",) * 200)
    data = replace(dataset(2), train=rows, dev=rows, test=rows.sealed())
    baseline = tfidf(data)
    assert accuracy(baseline.dev, labels) == 1
    assert baseline.parameters == 4 + 1


def test_tfidf_learns_from_train_alone() -> None:
    data = dataset(3)
    other = replace(data, dev=data.dev.take(np.arange(10)), test=data.test.take(np.arange(5)))
    np.testing.assert_array_equal(tfidf(data).dev[:10], tfidf(other).dev)


def test_tfidf_twice() -> None:
    data = dataset(3)
    np.testing.assert_array_equal(tfidf(data, seed=0).test, tfidf(data, seed=0).test)


def test_one_text() -> None:
    data = dataset(3)
    single = replace(
        data,
        train=replace(data.train, pair=None),
        dev=replace(data.dev, pair=None),
        test=replace(data.test, pair=None),
    )
    np.testing.assert_allclose(tfidf(single).test, tfidf(data, "text").test)
    with pytest.raises(UsageError, match="no second text"):
        tfidf(single, "pair")


def test_texts_without_words() -> None:
    labels = np.arange(40, dtype=np.int64) % 2
    rows = Split(tuple("🙂🙂!" if label else "🙁…" for label in labels), None, labels, ("",) * 40)
    data = replace(dataset(2), train=rows, dev=rows, test=rows.sealed())
    assert accuracy(tfidf(data).dev, labels) == 1


def test_unknown_fields() -> None:
    with pytest.raises(UsageError, match="'passage'"):
        tfidf(dataset(2), "passage")  # type: ignore[arg-type]


def test_150_classes_are_fast() -> None:
    data = dataset(150, sizes=(1500, 300, 300))
    baseline = tfidf(data)
    assert accuracy(baseline.dev, data.dev.label) > 0.9
    assert baseline.seconds < 20

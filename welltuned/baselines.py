"""What any method must beat: the majority class, and TF-IDF with logistic regression.

Both train on train alone and give log-probabilities for every dev and test row, so that they stand in
tables like any trained model. TF-IDF on the question alone or on the passage alone shows how far a model
gets without reading the other.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from welltuned.data.dataset import Dataset, Labels, Split
from welltuned.errors import DataError, UsageError

Fields = Literal["both", "text", "pair"]
Logits = NDArray[np.float32]

MAX_FEATURES = 50_000
"""Terms kept of each text column, the most frequent of train."""

_FLOOR = np.float32(-100.0)
"""Log-probability at least, so that every logit is finite."""


@dataclass(frozen=True)
class Baseline:
    """Predictions of one baseline.

    Attributes:
        name: as tables call it.
        dev, test: [N, C] log-probabilities, in the order of the split's rows.
        parameters: numbers fitted to train.
        seconds: wall time of fitting and predicting.
        converged: whether the fit reached its optimum.
    """

    name: str
    dev: Logits
    test: Logits
    parameters: int
    seconds: float
    converged: bool = True


def majority(dataset: Dataset) -> Baseline:
    """The classes' log-frequencies in train, the same for every row; their argmax is the majority class."""
    started = time.perf_counter()
    counts = np.bincount(_labels(dataset.train), minlength=len(dataset.labels))
    with np.errstate(divide="ignore"):
        row = np.maximum(np.log(counts / counts.sum()), _FLOOR).astype(np.float32)
    return Baseline(
        name="majority class",
        dev=np.tile(row, (len(dataset.dev), 1)),
        test=np.tile(row, (len(dataset.test), 1)),
        parameters=len(dataset.labels),
        seconds=time.perf_counter() - started,
    )


def tfidf(dataset: Dataset, fields: Fields = "both", seed: int = 0) -> Baseline:
    """Logistic regression on the TF-IDF of words and word pairs, each text column with its own vocabulary.

    Args:
        dataset: train must have labels; dev and test need none.
        fields: which texts are read: "both", "text" (the first alone) or "pair" (the second alone).
        seed: the solver's; its optimum is unique, so results differ by rounding at most.

    Raises:
        UsageError: ``fields`` is unknown, or "pair" where rows have one text.
    """
    columns = _columns(dataset, fields)
    started = time.perf_counter()
    train, dev, test = _features(dataset, columns)
    # For 150 classes Newton's method needs 40% of the time of lbfgs, to the same accuracy.
    model = LogisticRegression(C=1.0, solver="newton-cg", tol=1e-3, max_iter=1000, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, _labels(dataset.train))
    return Baseline(
        name="TF-IDF + logistic regression" + _reading(dataset, fields),
        dev=_log_probabilities(model, dev, len(dataset.labels)),
        test=_log_probabilities(model, test, len(dataset.labels)),
        parameters=int(model.coef_.size + model.intercept_.size),
        seconds=time.perf_counter() - started,
        converged=bool(np.max(model.n_iter_) < model.max_iter),
    )


def one_text_each(dataset: Dataset) -> list[Baseline]:
    """TF-IDF on the first text alone and on the second alone; nothing where rows have one text."""
    return [] if dataset.train.pair is None else [tfidf(dataset, "text"), tfidf(dataset, "pair")]


def _reading(dataset: Dataset, fields: Fields) -> str:
    """What is read, by the name of its column."""
    column = {"both": None, "text": dataset.columns.text, "pair": dataset.columns.text_pair or "pair"}[fields]
    return f", {column} only" if column else ""


def _labels(rows: Split) -> Labels:
    if rows.label is None:
        raise ValueError("a baseline needs the labels of train")
    return rows.label


def _columns(dataset: Dataset, fields: Fields) -> tuple[str, ...]:
    if fields not in ("both", "text", "pair"):
        raise UsageError(f"there is no choice of fields {fields!r}", mend='use "both", "text" or "pair"')
    if dataset.train.pair is None and fields == "pair":
        raise UsageError("the rows have no second text", where=dataset.name, mend='use fields "text"')
    if fields == "both":
        return ("text",) if dataset.train.pair is None else ("text", "pair")
    return (fields,)


def _texts(rows: Split, column: str) -> tuple[str, ...]:
    return rows.text if column == "text" else rows.pair or ()


def _features(dataset: Dataset, columns: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """[N, F] sparse features of train, dev and test."""
    blocks: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for column in columns:
        vectorizer, train = _fit_terms(_texts(dataset.train, column), column)
        blocks[0].append(train)
        blocks[1].append(vectorizer.transform(_texts(dataset.dev, column)))
        blocks[2].append(vectorizer.transform(_texts(dataset.test, column)))
    train, dev, test = (sparse.hstack(parts, format="csr") for parts in blocks)
    return train, dev, test


def _fit_terms(texts: tuple[str, ...], column: str) -> tuple[TfidfVectorizer, Any]:
    """A vectorizer fitted to train, and its [N, F] features."""
    # One-letter words count: the default pattern drops "a" against "I", and most of what is not English.
    words = {"ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"}
    characters = {"ngram_range": (1, 3), "analyzer": "char"}
    for options in (words, characters):
        vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=MAX_FEATURES, dtype=np.float32, **options)
        try:
            return vectorizer, vectorizer.fit_transform(texts)
        except ValueError:
            # No word at all, as in emoji: characters serve.
            continue
    raise DataError(f"the texts in column {column!r} hold no characters", mend="name a text column")


def _log_probabilities(model: LogisticRegression, features: Any, classes: int) -> Logits:
    """[N, C]; a class that train lacks gets the lowest value."""
    logits = np.full((features.shape[0], classes), _FLOOR, dtype=np.float32)
    logits[:, model.classes_] = np.maximum(model.predict_log_proba(features), _FLOOR)
    return logits

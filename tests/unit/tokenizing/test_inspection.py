from __future__ import annotations

import numpy as np
import pytest
from families import bert_tokenizer, examples, roberta_tokenizer

from welltuned.batches import tokenize
from welltuned.data.dataset import Columns, Dataset
from welltuned.errors import UsageError
from welltuned.record.tokenizers import Fit, TokenizerRow
from welltuned.tokenizing.inspection import FRESH, WORDS, inspect, weigh

DATA = Dataset(
    name="made",
    train=examples(40, seed=1, longest=20),
    dev=examples(20, seed=2),
    test=examples(10, seed=3).sealed(),
    labels=("no", "yes"),
    columns=Columns("question", "passage", "answer"),
    hash="",
)


def test_models_stand_side_by_side_with_a_newly_trained_one() -> None:
    found = inspect(DATA, {"tiny": bert_tokenizer(), "bytes": roberta_tokenizer()}, 3, 16, "welltuned ...")
    assert [row.name for row in found.models] == ["tiny", "bytes"]
    assert [row.kind for row in found.models] == ["WordPiece", "BPE"]
    assert found.fresh.name == FRESH
    assert found.fresh.kind == "WordPiece"
    assert found.row == "made:2"
    assert found.models[0].layout is not None
    assert found.models[0].layout.pieces[1] == DATA.train.text[2].split()[0]
    assert found.models[0].fit.fertility == 1.0
    assert found.models[1].fit.fertility > 3


def test_truncation_is_told_by_class() -> None:
    tokenizer = bert_tokenizer()
    found = inspect(DATA, {"tiny": tokenizer}, 1, 12, "")
    tokens = tokenize(DATA.train, tokenizer, 12)
    for at, cut in enumerate(found.models[0].cut):
        of_class = DATA.train.label == at
        assert (cut.label, cut.rows, cut.cut) == (DATA.labels[at], of_class.sum(), tokens.cut[of_class].sum())
    assert np.sum([cut.cut for cut in found.models[0].cut]) == tokens.truncation.cut > 0


def test_a_row_that_is_not_there() -> None:
    with pytest.raises(UsageError, match="no row 41"):
        inspect(DATA, {"tiny": bert_tokenizer()}, 41, 16, "")


def row(name: str, tokens: int, unknown: int = 0) -> TokenizerRow:
    fit = Fit(words=1000, tokens=tokens, unknown=unknown, whole=500, worst=[])
    return TokenizerRow(name=name, kind="BPE", vocabulary=100, layout=None, fit=fit, cut=[])


@pytest.mark.parametrize(
    ("tokens", "unknown", "fresh", "words", "train_new", "begins"),
    [
        (1300, 0, 1600, 10**9, False, "Keep"),
        (1300, 0, 1000, 10**9, False, "Keep"),
        (2000, 0, 1500, 10**9, True, "Train a new"),
        (2000, 0, 1500, WORDS - 1, False, "Try another"),
        (1300, 12, 1300, 10**9, False, "Keep"),
        (1300, 13, 1300, 10**9, True, "Train a new"),
        (1300, 13, 1300, 1000, False, "Try another"),
    ],
)
def test_the_advice(tokens: int, unknown: int, fresh: int, words: int, train_new: bool, begins: str) -> None:
    advised, why = weigh(row("m", tokens, unknown), row(FRESH, fresh), words)
    assert advised == train_new
    assert why.startswith(begins)
    assert f"{tokens / 1000:.2f} tokens a word" in why
    assert f"{fresh / 1000:.2f}" in why

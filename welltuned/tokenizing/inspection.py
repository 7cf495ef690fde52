"""Tokenizers held against a data set: laid out on one row, counted on all, and weighed against a newly trained one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from welltuned.batches import tokenize
from welltuned.data.corpus import Corpus
from welltuned.data.dataset import Dataset, Split
from welltuned.errors import UsageError
from welltuned.record.tokenizers import Cut, InspectionRecord, TokenizerRow
from welltuned.tokenizing.fitting import fit
from welltuned.tokenizing.layout import lay_out
from welltuned.tokenizing.learning import trained
from welltuned.tokenizing.splitting import kind_of

FRESH = "newly trained"
UNKNOWN = 0.01
"""Share of unknown tokens from which on a tokenizer is called unfit: what is unknown, the model cannot read."""
SAVING = 0.25
"""Share of tokens that a new tokenizer must save to be worth speaking of."""
WORDS = 10_000_000
"""Words of text below which pretraining from scratch, which a new tokenizer asks for, has too little to learn from."""


def inspect(
    dataset: Dataset, tokenizers: Mapping[str, Any], row: int, max_length: int, command: str
) -> InspectionRecord:
    """Lay out one training row, count all texts, and say whether a new tokenizer is worth training.

    How well each fits is counted on the dev texts, so that the one trained on the train texts for comparison has no
    advantage from having seen them.

    Args:
        tokenizers: by the name of their model, the one in question first.
        row: a row of train, from 1 on.

    Raises:
        UsageError: there is no such row.
    """
    train = dataset.train
    if row > len(train):
        raise UsageError(f"there are {len(train):,} training rows, no row {row:,}", where="--row")
    text, pair = train.text[row - 1], None if train.pair is None else train.pair[row - 1]
    rows = [
        TokenizerRow(
            name=name,
            kind=kind_of(tokenizer),
            vocabulary=len(tokenizer),
            layout=lay_out(tokenizer, text, pair, max_length),
            fit=fit(tokenizer, _texts(dataset.dev)),
            cut=_cut(dataset, tokenizer, max_length),
        )
        for name, tokenizer in tokenizers.items()
    ]
    fresh = _fresh(dataset, next(iter(tokenizers.values())), max_length)
    words = sum(len(one.split()) for one in _texts(train))
    train_new, advice = weigh(rows[0], fresh, words)
    return InspectionRecord(
        command=command,
        data=dataset.name,
        row=train.origin[row - 1],
        max_length=max_length,
        train_words=words,
        models=rows,
        fresh=fresh,
        train_new=train_new,
        advice=advice,
    )


def _texts(split: Split) -> tuple[str, ...]:
    """Every different text of a split, once."""
    return tuple(dict.fromkeys([*split.text, *(split.pair or ())]))


def _cut(dataset: Dataset, tokenizer: Any, max_length: int) -> list[Cut]:
    tokens = tokenize(dataset.train, tokenizer, max_length)
    labels = tokens.known_labels
    classes = len(dataset.labels)
    rows = np.bincount(labels, minlength=classes)
    cut = np.bincount(labels[tokens.cut], minlength=classes)
    return [Cut(label=label, rows=int(rows[i]), cut=int(cut[i])) for i, label in enumerate(dataset.labels)]


def _fresh(dataset: Dataset, like: Any, max_length: int) -> TokenizerRow:
    kind = "bpe" if kind_of(like) == "BPE" else "wordpiece"
    tokenizer = trained(Corpus(dataset.name, texts=_texts(dataset.train)), kind, len(like), _is_cased(like))
    return TokenizerRow(
        name=FRESH,
        kind=kind_of(tokenizer),
        vocabulary=len(tokenizer),
        layout=None,
        fit=fit(tokenizer, _texts(dataset.dev)),
        cut=_cut(dataset, tokenizer, max_length),
    )


def _is_cased(tokenizer: Any) -> bool:
    return bool(
        tokenizer("A", add_special_tokens=False)["input_ids"] != tokenizer("a", add_special_tokens=False)["input_ids"]
    )


def weigh(row: TokenizerRow, fresh: TokenizerRow, words: int) -> tuple[bool, str]:
    """Whether to train a new tokenizer, and why.

    Args:
        row: how the tokenizer in question fits.
        fresh: how one fits that was trained on the train texts.
        words: of the train texts.
    """
    saving = 1 - fresh.fit.tokens / row.fit.tokens if row.fit.tokens else 0.0
    found = (
        f"{row.name} takes {row.fit.fertility:.2f} tokens a word, {row.fit.unknown_share:.2%} of them unknown; one "
        f"trained on this text takes {fresh.fit.fertility:.2f}, {_saved(saving)}"
    )
    if row.fit.unknown_share < UNKNOWN and saving < SAVING:
        return False, f"Keep {row.name}'s tokenizer: {found}. Below {SAVING:.0%} saved, a new one does not pay."
    need = "what is unknown cannot be read" if row.fit.unknown_share >= UNKNOWN else f"that is {SAVING:.0%} or more"
    if words < WORDS:
        return False, (
            f"Try another model's tokenizer first: {found}; {need}. But a new tokenizer asks for pretraining from "
            f"scratch, and {words:,} words are too few for that (a rule of thumb: {WORDS:,})."
        )
    return True, (
        f"Train a new tokenizer: {found}; {need}. The model must then be pretrained from scratch with it, for which "
        f"{words:,} words may do."
    )


def _saved(saving: float) -> str:
    return f"{saving:.0%} fewer" if saving >= 0 else f"{-saving:.0%} more"

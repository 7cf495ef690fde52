"""How a word is split, step by step, by our own few lines; the library's answer must be the same.

Byte-pair encoding (Sennrich et al. 2016) starts from single characters (from bytes, in RoBERTa's kind) and merges, as
long as any merge applies, the neighbours whose merge was learned first. WordPiece (Schuster and Nakajima 2012; Devlin
et al. 2019) takes, from the left, the longest piece in the vocabulary, and calls a word unknown whose rest begins
with none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from welltuned.errors import UsageError, WelltunedError
from welltuned.record.tokenizers import ExplanationRecord, SplitWord, Step


def explain(text: str, tokenizer: Any, name: str) -> ExplanationRecord:
    """Split a text as a tokenizer does, with every step.

    Args:
        tokenizer: a fast Hugging Face tokenizer of the BPE or WordPiece kind.
        name: what the user calls its model.

    Raises:
        UsageError: nothing to split, a special token in the text, or a tokenizer of another kind.
        WelltunedError: our steps and the library do not agree.
    """
    backend = tokenizer.backend_tokenizer
    model = json.loads(backend.to_str())["model"]
    kind = kind_of(tokenizer)
    _require_plain(text, tokenizer)
    read = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
    words = [read] if backend.pre_tokenizer is None else [w for w, _ in backend.pre_tokenizer.pre_tokenize_str(read)]
    if kind == "BPE":
        ranks = {tuple(pair): rank for rank, pair in enumerate(model["merges"])}
        split = [merge(word, ranks) for word in words]
    elif kind == "WordPiece":
        split = [match(word, model) for word in words]
    else:
        raise UsageError(
            f"{name} splits by {kind}, which is not explained here",
            where="--model",
            mend="name a model with BPE (RoBERTa's kind) or WordPiece (BERT's kind)",
        )
    if not split:
        raise UsageError("nothing is left to split once the text is normalised", where="WORD")
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    theirs = tokenizer.convert_ids_to_tokens(ids)
    ours = [piece for word in split for piece in word.pieces]
    if ours != theirs:
        raise WelltunedError(
            f"our steps end in {' '.join(ours)}, the library says {' '.join(theirs)}",
            why="this tokenizer has settings that the steps here do not follow",
        )
    return ExplanationRecord(
        model=name,
        kind=kind,
        vocabulary=len(tokenizer),
        text=text,
        words=split,
        pieces=theirs,
        ids=ids,
    )


def kind_of(tokenizer: Any) -> str:
    """The kind of a fast tokenizer's model: BPE, WordPiece, Unigram or WordLevel."""
    return type(tokenizer.backend_tokenizer.model).__name__


def _require_plain(text: str, tokenizer: Any) -> None:
    for added in tokenizer.get_added_vocab():
        if added in text:
            raise UsageError(
                f"{added!r} is a special token here: it is looked up whole and not split",
                where="WORD",
                mend="leave it out",
            )


def merge(word: str, ranks: Mapping[tuple[str, str], int]) -> SplitWord:
    """Split one word by merges: always the one learned first, of equals the leftmost."""
    pieces = list(word)
    steps: list[Step] = []
    while True:
        pairs = [(ranks[pair], at) for at, pair in enumerate(pairwise(pieces)) if pair in ranks]
        if not pairs:
            return SplitWord(word=word, start=list(word), steps=steps, pieces=pieces)
        rank, at = min(pairs)
        taken = pieces[at : at + 2]
        pieces = [*pieces[:at], "".join(taken), *pieces[at + 2 :]]
        steps.append(Step(taken=taken, piece=pieces[at], rank=rank, tried=None, state=list(pieces)))


def match(word: str, model: Mapping[str, Any]) -> SplitWord:
    """Split one word by the longest piece from the left; pieces inside a word carry the prefix of the model."""
    vocabulary, prefix, unknown = model["vocab"], model["continuing_subword_prefix"], model["unk_token"]
    pieces: list[str] = []
    steps: list[Step] = []
    start = 0 if len(word) <= model["max_input_chars_per_word"] else len(word) + 1
    while start < len(word):
        candidates = [(prefix if start else "") + word[start:end] for end in range(len(word), start, -1)]
        found = next((at for at, candidate in enumerate(candidates) if candidate in vocabulary), None)
        if found is None:
            steps.append(Step(taken=[word[start:]], piece=unknown, rank=None, tried=len(candidates), state=[unknown]))
            break
        pieces.append(candidates[found])
        left = word[start:]
        steps.append(Step(taken=[left], piece=pieces[-1], rank=None, tried=found + 1, state=list(pieces)))
        start = len(word) - found
    return SplitWord(word=word, start=[word], steps=steps, pieces=pieces if start == len(word) else [unknown])

"""A new vocabulary from text: byte-level BPE as RoBERTa has it, or WordPiece as BERT has it.

Both are learned by merging the most frequent neighbours. BPE keeps the list of merges and applies it to new words;
WordPiece keeps the pieces alone. The same text gives the same vocabulary, in every process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import BertTokenizer, RobertaTokenizer

from welltuned.data.corpus import Corpus
from welltuned.errors import UsageError
from welltuned.record import require_replaceable, results_kind, whole_folder, write_json
from welltuned.record.tokenizers import LearnedRecord
from welltuned.tokenizing.fitting import fit

Kind = Literal["wordpiece", "bpe"]
KINDS: tuple[Kind, ...] = ("wordpiece", "bpe")
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BYTES = 256
SHOWN = 10


class Text(Protocol):
    """Anything that gives lines, as often as it is asked."""

    def lines(self) -> Iterator[str]:
        """Every line."""


def learn(corpus: Corpus, kind: str, size: int, cased: bool, folder: Path, command: str) -> LearnedRecord:
    """Train a tokenizer on text and save it as a fast tokenizer that ``AutoTokenizer`` opens.

    Args:
        kind: "wordpiece" or "bpe".
        size: entries of the vocabulary at most.
        cased: keep capitals and accents (WordPiece; BPE always does).
        folder: gets ``tokenizer.json``, ``tokenizer_config.json`` and, last, ``results.json``.

    Raises:
        UsageError: the folder holds something else; else as :func:`trained`.
    """
    require_replaceable(folder, results_kind(folder) in KINDS)
    tokenizer = trained(corpus, kind, size, cased)
    record = LearnedRecord(
        command=command,
        kind=kind,
        text=corpus.name,
        folder=str(folder),
        lines=sum(1 for _ in corpus.lines()),
        asked=size,
        vocabulary=len(tokenizer),
        first=_first(tokenizer),
        fit=fit(tokenizer, corpus.lines()),
    )
    with whole_folder(folder) as draft:
        tokenizer.save_pretrained(draft)
        write_json(draft / "results.json", record)
    return record


def trained(text: Text, kind: str, size: int, cased: bool = False) -> Any:
    """A fast tokenizer of RoBERTa's kind ("bpe") or BERT's kind ("wordpiece") with a vocabulary learned from text.

    Raises:
        UsageError: no such kind, or a vocabulary too small for the characters alone.
    """
    if kind not in KINDS:
        raise UsageError(f"no kind of tokenizer is known as {kind!r}", where="--kind", mend="choose wordpiece or bpe")
    return _byte_pairs(text, size) if kind == "bpe" else _wordpiece(text, size, cased)


def _byte_pairs(text: Text, size: int) -> Any:
    _require_room(size, BYTES + len(ROBERTA_SPECIALS), "all 256 bytes and 5 special tokens")
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=ROBERTA_SPECIALS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(text.lines(), trainer)
    learned: dict[str, Any] = json.loads(backend.to_str())["model"]
    merges: list[Any] = [tuple(pair) for pair in learned["merges"]]
    return RobertaTokenizer(vocab=learned["vocab"], merges=merges)


def _wordpiece(text: Text, size: int, cased: bool) -> Any:
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    first, inside = _characters(text, backend)
    _require_room(size, len(BERT_SPECIALS) + len(first | inside) + len(inside), "every character of the text")
    # The trainer numbers pieces inside words in the order of a hash table, and breaks ties by number. Given
    # beforehand, in order, they make it repeatable.
    given = [*BERT_SPECIALS, *(f"##{character}" for character in sorted(inside))]
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=given, show_progress=False)
    backend.train_from_iterator(text.lines(), trainer)
    return BertTokenizer(vocab=backend.get_vocab(with_added_tokens=False), do_lower_case=not cased)


def _characters(text: Text, backend: Tokenizer) -> tuple[set[str], set[str]]:
    """The characters that words begin with, and those inside words."""
    first: set[str] = set()
    inside: set[str] = set()
    for line in text.lines():
        for word, _ in backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(line)):
            first.add(word[0])
            inside.update(word[1:])
    return first, inside


def _require_room(size: int, needed: int, what: str) -> None:
    if size < needed:
        raise UsageError(
            f"a vocabulary of {size:,} has no room for {what}", where="--vocab-size", mend=f"ask for {needed:,} or more"
        )


def _first(tokenizer: Any) -> list[str]:
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if "merges" in model:
        return ["+".join(pair) for pair in model["merges"][:SHOWN]]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    longer = (piece for piece in pieces if len(piece.removeprefix("##")) > 1 and piece not in BERT_SPECIALS)
    return [piece for _, piece in zip(range(SHOWN), longer, strict=False)]

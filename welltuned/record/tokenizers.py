"""What was found about tokenizers: how they lay out a row, how well they fit a text, how they split a word."""

from __future__ import annotations

from typing import Literal

from welltuned.record.schema import SCHEMA, Schema

Part = Literal["special", "text", "text_pair"]


class Layout(Schema):
    """One row as a model sees it.

    Attributes:
        template: special tokens and parts in order, such as ``[CLS] question [SEP] passage [SEP]``.
        pieces, ids, parts: [T] what stands at each position, its id, and where it comes from.
        segments: [T] segment ids, for models that take them.
        literals: text that looks like a separator, and whether this tokenizer takes it for a special token.
    """

    template: str
    pieces: list[str]
    ids: list[int]
    parts: list[Part]
    segments: list[int] | None
    literals: dict[str, bool]


class BrokenWord(Schema):
    """A word, how often it stands in the text, and its pieces."""

    word: str
    count: int
    pieces: list[str]

    @property
    def extra(self) -> int:
        """Tokens that its breaking costs over the whole text."""
        return self.count * (len(self.pieces) - 1)


class Fit(Schema):
    """How well a tokenizer fits a text.

    Attributes:
        words: white-space separated words of the text.
        tokens: tokens of the text, special ones not counted.
        unknown: tokens that stand for what the vocabulary cannot say.
        whole: words that are one token.
        worst: the words whose breaking costs most tokens, costliest first.
    """

    words: int
    tokens: int
    unknown: int
    whole: int
    worst: list[BrokenWord]

    @property
    def fertility(self) -> float:
        """Tokens per word."""
        return self.tokens / self.words if self.words else 0.0

    @property
    def unknown_share(self) -> float:
        """Share of tokens that are unknown."""
        return self.unknown / self.tokens if self.tokens else 0.0

    @property
    def whole_share(self) -> float:
        """Share of words that are one token."""
        return self.whole / self.words if self.words else 0.0


class Cut(Schema):
    """Rows of one class, and how many of them lose tokens at ``max_length``."""

    label: str
    rows: int
    cut: int

    @property
    def share(self) -> float:
        """Share of rows that lose tokens."""
        return self.cut / self.rows if self.rows else 0.0


class TokenizerRow(Schema):
    """One tokenizer on one data set. ``fit`` is taken on the dev texts, ``cut`` on the train rows."""

    name: str
    kind: str
    vocabulary: int
    layout: Layout | None
    fit: Fit
    cut: list[Cut]


class InspectionRecord(Schema):
    """What ``tokenizer inspect`` found.

    Attributes:
        row: the row that is laid out, as ``file:row``.
        fresh: a tokenizer trained on the train texts for comparison: of the first model's kind and at most its size.
        train_new: whether to train a new tokenizer; ``advice`` says why, with the figures it rests on.
    """

    schema_version: int = SCHEMA
    command: str
    data: str
    row: str
    max_length: int
    train_words: int
    models: list[TokenizerRow]
    fresh: TokenizerRow
    train_new: bool
    advice: str


class Step(Schema):
    """One step of a split: a merge (BPE), or the piece found at the left of what remained (WordPiece).

    Attributes:
        taken: the two neighbours that are merged, or the remainder that is looked at.
        piece: what came of it.
        rank: the merge's place in the list of merges, from 0; None for WordPiece.
        tried: candidates looked up until one was in the vocabulary; None for BPE.
        state: the pieces after the step.
    """

    taken: list[str]
    piece: str
    rank: int | None
    tried: int | None
    state: list[str]


class SplitWord(Schema):
    """One word: what it starts as, the steps, the pieces it ends as."""

    word: str
    start: list[str]
    steps: list[Step]
    pieces: list[str]


class ExplanationRecord(Schema):
    """How a text is split; ``pieces`` and ``ids`` are those of the library, with which the steps agree."""

    schema_version: int = SCHEMA
    model: str
    kind: str
    vocabulary: int
    text: str
    words: list[SplitWord]
    pieces: list[str]
    ids: list[int]


class LearnedRecord(Schema):
    """A tokenizer that was trained.

    Attributes:
        folder: where it was saved.
        lines, words: of the text it was trained on.
        asked, vocabulary: entries asked for and found; a small text has fewer.
        first: the first merges learned (BPE), or the first pieces of more than one character.
        fit: how it fits the text it was trained on.
    """

    schema_version: int = SCHEMA
    command: str
    kind: str
    text: str
    folder: str
    lines: int
    asked: int
    vocabulary: int
    first: list[str]
    fit: Fit

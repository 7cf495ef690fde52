"""Texts to token ids, as a finished run reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from welltuned.batches import TokenizedSplit, tokenize
from welltuned.data.dataset import Split
from welltuned.errors import UsageError


class Reader:
    """How one run reads a row.

    Attributes:
        takes_pairs: whether a row is a pair of texts (question and passage) or a single one.
        max_length: tokens a row at most; what is beyond is cut off.
    """

    def __init__(self, tokenizer: Any, max_length: int, takes_pairs: bool) -> None:
        self.max_length = max_length
        self.takes_pairs = takes_pairs
        self._tokenizer = tokenizer

    def read(self, texts: Sequence[str], pairs: Sequence[str] | None) -> TokenizedSplit:
        """Tokenize N rows, N at least 1, as in training; ``cut`` tells which of them lost tokens.

        Args:
            texts: [N] first texts (questions).
            pairs: [N] second texts (passages), or None for a model of single texts.

        Raises:
            UsageError: pairs where the model takes single texts, or the other way round.
        """
        if (pairs is not None) != self.takes_pairs:
            needs = "a question and a passage" if self.takes_pairs else "single texts"
            raise UsageError(f"this model was trained on {needs}", where="--input")
        split = Split(tuple(texts), None if pairs is None else tuple(pairs), None, ("",) * len(texts))
        return tokenize(split, self._tokenizer, self.max_length)

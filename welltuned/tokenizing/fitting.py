"""How well a tokenizer fits a text: tokens per word, unknown tokens, and the words that break worst."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from welltuned.record.tokenizers import BrokenWord, Fit

CHUNK = 1000
SHOWN = 10


def fit(tokenizer: Any, texts: Iterable[str], shown: int = SHOWN) -> Fit:
    """Count what a tokenizer makes of texts.

    A word is what stands between white space. Each different word is also tokenized alone, behind a space, as it
    stands in running text; so ``whole`` and ``worst`` are about words as they are met.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        shown: how many of the worst words to name.
    """
    counts: Counter[str] = Counter()
    tokens = unknown = 0
    for chunk in chunks(texts):
        for text in chunk:
            counts.update(text.split())
        for ids in tokenizer(chunk, add_special_tokens=False, verbose=False)["input_ids"]:
            tokens += len(ids)
            unknown += ids.count(tokenizer.unk_token_id)
    broken = [BrokenWord(word=word, count=count, pieces=[]) for word, count in counts.items()]
    whole = 0
    for some in chunks(broken):
        encoded = tokenizer([f" {one.word}" for one in some], add_special_tokens=False, verbose=False)["input_ids"]
        for one, ids in zip(some, encoded, strict=True):
            one.pieces = tokenizer.convert_ids_to_tokens(ids)
            whole += one.count * (len(ids) == 1 and ids[0] != tokenizer.unk_token_id)
    worst = sorted(broken, key=lambda one: (-one.extra, one.word))[:shown]
    return Fit(
        words=counts.total(),
        tokens=tokens,
        unknown=unknown,
        whole=whole,
        worst=[one for one in worst if one.extra > 0],
    )


def chunks(items: Iterable[Any], size: int = CHUNK) -> Iterator[list[Any]]:
    """The items in lists of ``size``, the last one shorter."""
    left = iter(items)
    while chunk := list(islice(left, size)):
        yield chunk

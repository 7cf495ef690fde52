"""What a model read of a text, and which of the words carried its answer.

Weights are integrated gradients (Sundararajan, Taly and Yan 2017, https://arxiv.org/abs/1703.01365) on the word
embeddings, by Captum. With x the embeddings of a row, x' those of the same row with every word hidden (the mask token
in its place), and F the log-odds of an answer, a position i carries

    (x_i - x'_i) . integral over a in [0, 1] of dF/dx_i at x' + a (x - x')

and all positions together F(x) - F(x') ("completeness"), up to the error of the numeric integral, ``delta``. A word
carries what its pieces carry. A large weight says what the answer rests on in this model, not what is true.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from welltuned.batches import Ints, shortened, tokenize
from welltuned.data.dataset import Split
from welltuned.errors import UsageError

_IDEOGRAPHS = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_IDEOGRAPHS}]|[^\s{_IDEOGRAPHS}]+")
STEPS, MOST_STEPS, AT_ONCE = 32, 256, 8
TOLERANCE = 0.02
"""Share of what is explained that the integral's error may be before more steps are taken."""


@dataclass(frozen=True)
class Word:
    """A word of a row: its text, the text of the row it stands in (0 or 1), and whether the model saw any of it."""

    text: str
    side: int
    seen: bool


@dataclass(frozen=True)
class Reading:
    """A row as a model reads it.

    Attributes:
        words: of the first text, then of the second.
        owners: [T] the word that each token belongs to, -1 for tokens of no word.
        ids: [T] token ids, as in training.
        types: [T] segment ids, or None for families that have none.
    """

    words: tuple[Word, ...]
    owners: Ints
    ids: Ints
    types: Ints | None

    @property
    def unseen(self) -> int:
        """How many words the model did not see."""
        return sum(not word.seen for word in self.words)


@dataclass(frozen=True)
class Explanation:
    """How much each word spoke for an answer, in nats of the answer's log-odds.

    Attributes:
        answer: whose log-odds are explained.
        words: of the row, seen or not.
        weights: one a word; below 0 for words that spoke against the answer, 0 for those not seen.
        rest: what tokens of no word carry.
        odds: the answer's log-odds.
        difference: the answer's log-odds less those with every word hidden.
        delta: all weights together less ``difference``: the error of the numeric integral.
        steps: points at which the gradient was taken.
    """

    answer: str
    words: tuple[Word, ...]
    weights: tuple[float, ...]
    rest: float
    odds: float
    difference: float
    delta: float
    steps: int


def read(text: str, pair: str | None, tokenizer: Any, max_length: int) -> Reading:
    """A row as :func:`~welltuned.batches.tokenize` hands it to the model, with the words that its tokens come from.

    Args:
        pair: the second text, or None for a model of single texts.
        tokenizer: a fast Hugging Face tokenizer.
        max_length: tokens at most.
    """
    texts = (text,) if pair is None else (text, pair)
    tokens = tokenize(Split((text,), None if pair is None else (pair,), None, ("",)), tokenizer, max_length)
    first = text if pair is None else shortened([text], tokenizer, max_length)[0][0]
    encoded = tokenizer(
        first,
        pair,
        truncation="longest_first" if pair is None else "only_second",
        max_length=max_length,
        return_offsets_mapping=True,
    )
    spans = [[match.span() for match in _WORD.finditer(one)] for one in texts]
    owners, ends = np.full(len(encoded["input_ids"]), -1, np.int64), [0, 0]
    for at, (side, (start, end)) in enumerate(zip(encoded.sequence_ids(), encoded["offset_mapping"], strict=True)):
        if side is None or start == end:
            continue
        ends[side] = max(ends[side], end)
        start += len(texts[side][start:end]) - len(texts[side][start:end].lstrip())
        owner = _containing(spans[side], start)
        if owner is not None:
            owners[at] = owner + (len(spans[0]) if side else 0)
    whole = not bool(tokens.cut[0])
    words = tuple(
        Word(texts[side][start:end], side, whole or start < ends[side])
        for side, found in enumerate(spans)
        for start, end in found
    )
    return Reading(
        words, owners, tokens.ids.astype(np.int64), tokens.types.astype(np.int64) if tokens.has_types else None
    )


def _containing(spans: list[tuple[int, int]], place: int) -> int | None:
    """The span that a character lies in."""
    at = bisect_right(spans, place, key=lambda span: span[0]) - 1
    return at if at >= 0 and place < spans[at][1] else None


def explain(model: PreTrainedModel, tokenizer: Any, reading: Reading, answer: str | None = None) -> Explanation:
    """Which words of a row carry an answer.

    Args:
        model: in evaluation mode, with its labels in ``config.id2label``.
        tokenizer: the model's own.
        answer: a label; the model's own answer where none is given.

    Raises:
        UsageError: Captum is not installed, or the model has no such label.
    """
    ids = torch.from_numpy(reading.ids)[None]  # [1, T]
    types = None if reading.types is None else torch.from_numpy(reading.types)[None]
    words = torch.from_numpy(reading.owners >= 0)
    hidden = torch.where(words, _hiding(tokenizer), ids)
    names = {int(index): str(name) for index, name in (model.config.id2label or {}).items()}
    labels = {name: index for index, name in names.items()}
    with torch.no_grad():
        target = labels.get(answer) if answer is not None else int(_logits(model, ids, types).argmax())
    if target is None:
        raise UsageError(f"the model has no label {answer!r}", mend=f"choose among {', '.join(labels)}")

    def odds(rows: Tensor) -> Tensor:
        return log_odds(_logits(model, rows, types), target)

    with torch.no_grad():
        whole, difference = float(odds(ids)), float(odds(ids) - odds(hidden))
    carried, delta, steps = _integrated(model, odds, ids, hidden, difference)
    weights = np.zeros(len(reading.words))
    np.add.at(weights, reading.owners[reading.owners >= 0], carried[reading.owners >= 0])
    return Explanation(
        answer=names[target],
        words=reading.words,
        weights=tuple(weights.tolist()),
        rest=float(carried[reading.owners < 0].sum()),
        odds=whole,
        difference=difference,
        delta=delta,
        steps=steps,
    )


def log_odds(logits: Tensor, target: int) -> Tensor:
    """[B] log p / (1 - p) of class ``target`` under logits [B, C]; with two classes the difference of their logits."""
    others = torch.arange(logits.shape[1], device=logits.device) != target
    return logits[:, target] - torch.logsumexp(logits[:, others], dim=1)


def _integrated(
    model: PreTrainedModel, odds: Callable[[Tensor], Tensor], ids: Tensor, hidden: Tensor, difference: float
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], float, int]:
    """[T] what each position carries, the integral's error, and the steps it took to make that small."""
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError as error:
        raise UsageError(
            "words cannot be weighed without Captum", mend="pip install 'welltuned[explain]', and start again"
        ) from error
    method = LayerIntegratedGradients(odds, model.get_input_embeddings())
    steps = STEPS
    while True:
        found = method.attribute(ids, baselines=hidden, n_steps=steps, internal_batch_size=AT_ONCE)  # [1, T, e]
        carried = found.detach().double().sum(dim=-1)[0].numpy()
        delta = float(carried.sum()) - difference
        if abs(delta) <= TOLERANCE * max(abs(difference), 0.1) or steps >= MOST_STEPS or not math.isfinite(delta):
            return carried, delta, steps
        steps *= 2


def _hiding(tokenizer: Any) -> int:
    """The token that stands for a hidden word."""
    known = (tokenizer.mask_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id)
    return int(next(one for one in known if one is not None))


def _logits(model: PreTrainedModel, ids: Tensor, types: Tensor | None) -> Tensor:
    """[B, C] for B variants [B, T] of one row, without padding."""
    options = {} if types is None else {"token_type_ids": types.expand(ids.shape)}
    return cast(Tensor, model(input_ids=ids, attention_mask=torch.ones_like(ids), **options).logits)

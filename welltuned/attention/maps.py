"""The attention maps of a pretrained encoder, and what a single text shows of its heads.

A map is the matrix of weights softmax(Q K^T / sqrt(h)) of one head: row i says how the token i mixes the
values of all tokens. Reading them has limits. A large weight is not an explanation of the model's answer: very
different maps can give the same answer (Jain & Wallace 2019, arXiv:1902.10186), though whether that matters
depends on what is asked of an explanation (Wiegreffe & Pinter 2019, arXiv:1908.04626). Heads with nothing to
fetch put their weight on [CLS] or [SEP], a sink rather than a finding (Clark et al. 2019, arXiv:1906.04341).
And from the second layer on, a "token" is already a mixture of all tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from welltuned.attention import drawing
from welltuned.attention.result import Result
from welltuned.errors import UsageError

COPY_WEIGHT = 0.9  # a row whose largest weight reaches this returns nearly one value
HABITS = ("previous", "next", "itself", "first", "separator")


@dataclass(frozen=True, eq=False)
class HeadMaps(Result):
    """All attention weights for one text (or pair) of T tokens; L layers of H heads.

    Attributes:
        tokens: [T] as the tokenizer writes them, special ones included.
        weights: [L, H, T, T]; each row over the last axis sums to 1. Not part of ``to_dict``.
        entropy: [L, H] mean over rows of -sum p log p, in nats; log T is uniform, 0 is copying.
        copying: [L, H] share of rows whose largest weight is COPY_WEIGHT or more.
        previous: [L, H] mean weight of rows 1.. on the token before.
        next: [L, H] mean weight of rows ..T-2 on the token after.
        itself: [L, H] mean weight on the row's own token.
        first: [L, H] mean weight on the first token, [CLS] in the BERT family.
        separator: [L, H] mean over rows of all weight on separator tokens.
        uniform_sink: what ``sink`` would be for uniform weights.
    """

    tokens: tuple[str, ...]
    weights: Tensor = field(metadata={"json": False})
    entropy: Tensor
    copying: Tensor
    previous: Tensor
    next: Tensor
    itself: Tensor
    first: Tensor
    separator: Tensor
    uniform_sink: float

    @property
    def sink(self) -> Tensor:
        """[L, H] mean weight on the first token and on separators together, where idle heads look."""
        return self.first + self.separator


def head_maps(model: Any, tokenizer: Any, question: str, passage: str | None = None) -> HeadMaps:
    """The maps of every head of an encoder for one question and passage.

    Args:
        model: a Transformers encoder loaded with ``attn_implementation="eager"``; used without dropout and
            left in the mode it was in.
        tokenizer: the model's own; texts too long for it are cut, the longer one first.
        question: first text.
        passage: second text, or None for one text.

    Raises:
        UsageError: the model does not return its weights, or there are fewer than two tokens.
    """
    encoded = _encode(model, tokenizer, question, passage)
    weights = _weights(model, encoded)
    ids = encoded["input_ids"][0]
    return describe(
        weights, tokenizer.convert_ids_to_tokens(ids.tolist()), separators=ids.cpu() == _separator_id(tokenizer)
    )


def describe(weights: Tensor, tokens: Sequence[str], separators: Tensor) -> HeadMaps:
    """Habits of heads from weights [L, H, T, T], T tokens, and which of them are separators [T]."""
    largest = weights.amax(-1)  # [L, H, T]
    return HeadMaps(
        tokens=tuple(tokens),
        weights=weights,
        entropy=-torch.special.xlogy(weights, weights).sum(-1).mean(-1),
        copying=(largest >= COPY_WEIGHT).double().mean(-1),
        previous=weights.diagonal(-1, -2, -1).mean(-1),
        next=weights.diagonal(1, -2, -1).mean(-1),
        itself=weights.diagonal(0, -2, -1).mean(-1),
        first=weights[..., 0].mean(-1),
        separator=weights[..., separators].sum(-1).mean(-1),
        uniform_sink=(1 + float(separators.sum())) / len(tokens),
    )


def ranked(maps: HeadMaps, habit: str) -> list[tuple[int, int]]:
    """All heads as (layer, head), largest mean first, for one of HABITS, "sink", "copying" or "entropy".

    Raises:
        UsageError: ``habit`` is none of these.
    """
    known = (*HABITS, "sink", "copying", "entropy")
    if habit not in known:
        raise UsageError(f"unknown habit {habit!r}", mend=f"known are {', '.join(known)}")
    means: Tensor = getattr(maps, habit)
    order = means.flatten().sort(descending=True, stable=True).indices.tolist()
    return [divmod(place, means.shape[1]) for place in order]


def strongest(maps: HeadMaps, habit: str) -> tuple[int, int]:
    """The first of :func:`ranked`."""
    return ranked(maps, habit)[0]


def check_heads(maps: HeadMaps, heads: Sequence[tuple[int, int]]) -> None:
    """Refuse heads that the model does not have.

    Raises:
        UsageError: there is one.
    """
    layers, per_layer = maps.entropy.shape
    wrong = [(layer, head) for layer, head in heads if not (0 <= layer < layers and 0 <= head < per_layer)]
    if wrong:
        raise UsageError(
            f"no such heads: {wrong}", where="heads", mend=f"layers 0..{layers - 1}, heads 0..{per_layer - 1}"
        )


def score_gaps(maps: HeadMaps, layer: int, head: int) -> Tensor:
    """[T] by how much each row's best score led the next: softmax turns a gap m into the ratio e^m."""
    top = maps.weights[layer, head].topk(2, dim=-1).values
    return (top[:, 0] / top[:, 1]).log()


def _encode(model: Any, tokenizer: Any, question: str, passage: str | None) -> dict[str, Tensor]:
    longest = min(getattr(model.config, "max_position_embeddings", 512), tokenizer.model_max_length)
    texts = (question,) if passage is None else (question, passage)
    encoded = tokenizer(*texts, return_tensors="pt", truncation="longest_first", max_length=longest)
    if encoded["input_ids"].shape[1] < 2:
        raise UsageError("the text has fewer than two tokens", mend="give a longer question")
    return {name: tensor.to(model.device) for name, tensor in encoded.items()}


@torch.no_grad()
def _weights(model: Any, encoded: dict[str, Tensor]) -> Tensor:
    """[L, H, T, T] in float64, without dropout."""
    was_training = model.training
    model.eval()
    try:
        layers = model(**encoded, output_attentions=True).attentions
    finally:
        model.train(was_training)
    if not layers or any(layer is None for layer in layers):
        raise UsageError(
            "the model returned no attention weights",
            why="its attention implementation never forms them",
            mend='load it with attn_implementation="eager"',
        )
    return torch.stack([layer[0] for layer in layers]).double().cpu()


def _separator_id(tokenizer: Any) -> int:
    separator = tokenizer.sep_token_id if tokenizer.sep_token_id is not None else tokenizer.eos_token_id
    return -1 if separator is None else int(separator)


def figure(maps: HeadMaps, heads: Sequence[tuple[int, int]] | None = None) -> Figure:
    """Maps of some heads with their tokens; without ``heads``, the strongest of four kinds.

    Those four: most weight on the token before, on the token after, on the sinks, and the flattest.

    Raises:
        UsageError: ``heads`` is empty or names a head the model does not have.
    """
    kinds = ("previous", "next", "sink", "entropy")
    chosen = [strongest(maps, kind) for kind in kinds] if heads is None else list(heads)
    if not chosen:
        raise UsageError("no heads to draw", mend="name one as (layer, head)")
    check_heads(maps, chosen)
    columns = min(2, len(chosen))
    rows = -(-len(chosen) // columns)
    side = max(4.0, 0.2 * len(maps.tokens) + 1)
    drawn, axes = drawing.panels(columns, rows=rows, width=side, height=side)
    for panel, (layer, head) in zip(axes, chosen, strict=False):
        _draw_map(panel, maps, layer, head)
    for unused in axes[len(chosen) :]:
        unused.set_visible(False)
    return drawn


def _draw_map(axes: Axes, maps: HeadMaps, layer: int, head: int) -> None:
    axes.imshow(maps.weights[layer, head].numpy(), cmap="Greys", vmin=0, vmax=1)
    places = range(len(maps.tokens))
    axes.set_xticks(places, maps.tokens, rotation=90, fontsize=7, parse_math=False)  # a token may hold dollar signs
    axes.set_yticks(places, maps.tokens, fontsize=7, parse_math=False)
    means = ", ".join(f"{habit} {float(getattr(maps, habit)[layer, head]):.2f}" for habit in HABITS)
    axes.set_title(f"Layer {layer}, head {head} (white 0, black 1); mean weight on\n{means}", fontsize=8.5)
    axes.set(xlabel="token attended to (key)", ylabel="token attending (query)")


def overview(maps: HeadMaps) -> Figure:
    """Entropy, and weight on the first token and the separators, of every head."""
    layers, heads = maps.entropy.shape
    drawn, (left, right) = drawing.panels(2, width=6.0, height=0.42 * layers + 1.6)
    uniform = float(torch.tensor(len(maps.tokens)).log())
    panels = (
        (left, maps.entropy, uniform, f"Entropy of each head in nats (uniform: {uniform:.2f})"),
        (right, maps.sink, 1.0, f"Weight on first token and separators (uniform: {maps.uniform_sink:.2f})"),
    )
    for axes, cells, high, title in panels:
        text = [[f"{cell:.2f}" for cell in row] for row in cells.tolist()]
        rows, columns = [str(i) for i in range(layers)], [str(i) for i in range(heads)]
        drawing.grid(axes, cells, text=text, rows=rows, columns=columns, low=0.0, high=high)
        axes.set(xlabel="head", ylabel="layer")
        axes.set_title(title, fontsize=10.5)
    return drawn

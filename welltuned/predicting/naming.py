"""Logits to answers, by the names of the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Answer:
    """One row's answer: the label, and every label's probability; ``truncated`` if the model did not see all."""

    label: str
    probabilities: dict[str, float]
    truncated: bool


def named(labels: Sequence[str], logits: Tensor, cut: Sequence[bool]) -> list[Answer]:
    """An answer a row.

    Args:
        labels: [C] names of the classes.
        logits: [N, C].
        cut: [N] whether the row lost tokens.
    """
    answers = []
    for row, truncated in zip(torch.softmax(logits.float(), dim=-1).tolist(), cut, strict=True):
        best = max(range(len(labels)), key=row.__getitem__)
        answers.append(Answer(labels[best], dict(zip(labels, row, strict=True)), truncated))
    return answers

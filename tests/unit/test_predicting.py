from __future__ import annotations

import pytest
import torch
from families import FAMILIES, examples
from torch import Tensor

from welltuned.batches import Batch, sorted_batches
from welltuned.predicting import Answer, Forward, Reader, named


def test_a_row_is_named_by_its_largest_logit_and_says_that_it_was_cut() -> None:
    yes, no = named(["no", "yes"], torch.tensor([[0.0, 2.0], [1.0, -1.0]]), [False, True])
    assert (yes.label, no.label) == ("yes", "no")
    assert (yes.truncated, no.truncated) == (False, True)
    assert sum(yes.probabilities.values()) == pytest.approx(1)
    assert yes.probabilities["yes"] == torch.softmax(torch.tensor([0.0, 2.0]), 0)[1].item()


def test_any_runtime_can_stand_between_reading_and_naming() -> None:
    class Counts:
        """Logits that tell how many tokens a row has."""

        def __call__(self, batch: Batch) -> Tensor:
            tokens = batch.mask.sum(1).float()
            return torch.stack([tokens, torch.full_like(tokens, 20)], 1)

    split = examples(12, longest=30)
    tokens = Reader(FAMILIES["bert"].tokenizer(), 32, takes_pairs=True).read(split.text, split.pair)
    forward: Forward = Counts()
    answers: dict[int, Answer] = {}
    for batch in sorted_batches(tokens, 4):
        found = named(["long", "short"], forward(batch), [False] * len(batch))
        answers |= dict(zip(batch.rows.tolist(), found, strict=True))
    assert {answers[i].label == "long" for i, n in enumerate(tokens.lengths) if n > 20} == {True}
    assert {answers[i].label == "short" for i, n in enumerate(tokens.lengths) if n < 20} == {True}

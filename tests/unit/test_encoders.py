from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from families import FAMILIES, MAIN, examples, logits_of, tokenized, whole
from torch import Tensor, nn

from welltuned.batches import Batch, TokenizedSplit, tokenize
from welltuned.encoders import Encoder, LinearHead, NativeHead
from welltuned.engine import Compute, prepare
from welltuned.errors import UsageError
from welltuned.pretrained import Pretrained

Find = Callable[[str], Pretrained]


class Words(nn.Module):
    """A prompt of given vectors [l, e]."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors)

    def forward(self) -> Tensor:
        return self.vectors


def unpadded(split: TokenizedSplit, row: int) -> Batch:
    """One row with no padding at all."""
    batch, length = split.batch(np.array([row])), int(split.lengths[row])
    types = None if batch.types is None else batch.types[:, :length]
    return replace(batch, ids=batch.ids[:, :length], mask=batch.mask[:, :length], types=types)


def test_a_head_on_features_that_were_kept_stays_in_full_precision_too() -> None:
    head, features = LinearHead(8, 2, "mean"), torch.randn(3, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head.classify(features)
    assert torch.equal(found, head.classifier(features))


def test_mean_pooling_leaves_padding_out() -> None:
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [100.0, -100.0]], [[1.0, 1.0], [2.0, 2.0], [6.0, 3.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    pooled = LinearHead(2, 3, "mean").pool(hidden, mask)
    torch.testing.assert_close(pooled, torch.tensor([[2.0, 3.0], [3.0, 2.0]]))
    assert not torch.allclose(pooled, hidden.mean(dim=1))


def test_first_pooling_takes_the_first_token() -> None:
    hidden = torch.randn(2, 3, 4)
    assert torch.equal(LinearHead(4, 2, "first").pool(hidden, torch.ones(2, 3)), hidden[:, 0])


def test_the_linear_head_stays_in_full_precision() -> None:
    head = LinearHead(8, 2, "mean")
    hidden, mask = torch.randn(2, 3, 8), torch.ones(2, 3, dtype=torch.int64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(hidden.bfloat16(), mask)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, head(hidden.bfloat16().float(), mask))


@pytest.mark.parametrize("engine", ["plain", "fast"])
@pytest.mark.parametrize("prompt", [0, 5])
@pytest.mark.parametrize("head", ["mean", "first", "native"])
@pytest.mark.parametrize("family", MAIN)
def test_padding_changes_nothing(family: str, head: str, prompt: int, engine: str, tiny: Find) -> None:
    encoder = tiny(family).encoder(head, 2, 0)
    if prompt:
        encoder.prompt = Words(torch.randn(prompt, encoder.shape.embedding))
    prepare(encoder, Compute(torch.device("cpu"), "fp32", engine))
    split = tokenized(tiny(family), n=6)
    assert split.lengths.min() < split.lengths.max()
    together = logits_of(encoder, whole(split))
    alone = torch.cat([logits_of(encoder, unpadded(split, row)) for row in range(len(split))])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("engine", ["plain", "fast"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_of_word_embeddings_is_those_words(family: str, engine: str, tiny: Find) -> None:
    """Positions, mask and segments of the prompt are those of l tokens that stand before the row."""
    encoder = tiny(family).encoder("mean", 2, 0).eval()
    prepare(encoder, Compute(torch.device("cpu"), "fp32", engine))
    split = tokenized(tiny(family), n=1)
    row = unpadded(split, 0)
    if row.types is not None:
        row = replace(row, types=torch.zeros_like(row.types))
    tokens = torch.arange(20, 27)
    before = torch.cat([tokens[None], row.ids], dim=1)
    types = None if row.types is None else torch.zeros_like(before)
    joined = replace(row, ids=before, mask=torch.ones_like(before), types=types, lengths=(before.shape[1],))
    with torch.no_grad():
        plain = encoder.hidden(joined)[:, len(tokens) :]
        without = encoder.hidden(row)
        encoder.prompt = Words(encoder.words.weight[tokens].clone())
        prompted = encoder.hidden(row)
    assert prompted.shape == without.shape
    torch.testing.assert_close(prompted, plain, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(prompted, without, atol=1e-2)


@pytest.mark.parametrize("family", MAIN)
def test_the_longest_rows_that_are_let_through_run(family: str, tiny: Find) -> None:
    """Every length that ``require_positions`` lets pass fits the position table, padding included."""
    origin = tiny(family)
    encoder = origin.encoder("mean", 2, 0)
    encoder.prompt = Words(torch.randn(3, encoder.shape.embedding))
    room = encoder.shape.positions - 3
    encoder.shape.require_positions(3, room)
    with pytest.raises(UsageError, match=r"behind a prefix of 3 exceed") as refused:
        encoder.shape.require_positions(3, room + 1)
    assert f"--max-length {room} or less" in str(refused.value)
    split = tokenize(examples(3, longest=800, seed=1), origin.tokenizer, room)
    assert split.lengths.max() == room
    assert logits_of(encoder, whole(split)).isfinite().all()


def test_rows_without_a_prompt_may_fill_all_positions(tiny: Find) -> None:
    encoder = tiny("roberta").encoder("mean", 2, 0)
    assert encoder.shape.positions == 128
    encoder.shape.require_positions(0, 128)
    with pytest.raises(UsageError, match="rows of 129 tokens exceed"):
        encoder.shape.require_positions(0, 129)
    with pytest.raises(UsageError, match="use a shorter prefix"):
        encoder.shape.require_positions(125, 64)


@pytest.mark.parametrize("family", FAMILIES)
def test_native_heads_are_the_stock_classifier(family: str, tiny: Find) -> None:
    encoder = tiny(family).encoder("native", 3, 0).eval()
    batch = whole(tokenized(tiny(family)))
    ours = logits_of(encoder, batch)
    assert isinstance(encoder.head, NativeHead)
    stock = encoder.head.reunited(encoder.backbone).eval()
    types = {} if batch.types is None else {"token_type_ids": batch.types}
    with torch.no_grad():
        theirs = stock(input_ids=batch.ids, attention_mask=batch.mask, **types).logits
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("frontier", [0, 1, 2, 3])
@pytest.mark.parametrize("family", MAIN)
def test_only_what_lies_above_the_frontier_is_in_training_mode(family: str, frontier: int, tiny: Find) -> None:
    encoder: Encoder = tiny(family).encoder("mean", 2, 0)
    encoder.frontier = frontier
    encoder.train()
    assert [block.training for block in encoder.blocks] == [index >= frontier for index in range(3)]
    assert encoder.head.training
    below = list(encoder.backbone.embeddings.modules())
    assert all(module.training == (frontier == 0) for module in below)
    encoder.eval()
    assert not any(module.training for module in encoder.modules())


def test_features_go_to_the_head_alone(tiny: Find) -> None:
    encoder = tiny("bert").encoder("mean", 2, 0).eval()
    batch = whole(tokenized(tiny("bert")))
    with torch.no_grad():
        features = encoder.head.pool(encoder.hidden(batch), batch.mask)
        assert torch.equal(encoder(replace(batch, features=features)), encoder(batch))

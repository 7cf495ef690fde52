from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conformance.contract import PLAIN, subject, tiny_spec
from families import tokenized, whole

from welltuned import methods
from welltuned.answering import predict
from welltuned.frontier import is_constant_below_head, with_features
from welltuned.pretrained import Pretrained
from welltuned.progress import Observer
from welltuned.spec import TrainSpec
from welltuned.train import fit

Find = Callable[[str], Pretrained]


@pytest.mark.parametrize("method", methods.names())
def test_features_are_for_a_linear_head_on_a_constant_encoder(method: str, tiny: Find) -> None:
    for head in ("mean", "native"):
        one = subject(tiny("bert"), tiny_spec(method), head)
        only_head = all(name.startswith("head.") for name, p in one.encoder.named_parameters() if p.requires_grad)
        assert is_constant_below_head(one.encoder) == (only_head and head == "mean")


@pytest.mark.parametrize("head", ["mean", "first"])
def test_features_are_the_pooled_representations_in_row_order(head: str, tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("head"), head), tokenized(tiny("bert"), n=7)
    advanced: list[int] = []
    featured = with_features(one.encoder.train(), split, 3, PLAIN, advanced.append)
    batch = whole(split)
    with torch.no_grad():
        pooled = one.encoder.head.pool(one.encoder.eval().hidden(batch), batch.mask)
    assert featured.features is not None
    torch.testing.assert_close(featured.features, pooled, atol=1e-6, rtol=0)
    assert sum(advanced) == 7
    assert split.features is None


def test_training_on_features_is_training_on_tokens(tiny: Find) -> None:
    """Same batches given, the weights and logits come out the same: the encoder below is deterministic."""
    split = tokenized(tiny("bert"), n=12, classes=3)
    spec = TrainSpec(lr=0.01, epochs=3, batch_size=12)
    results = []
    for featured in (False, True):
        one = subject(tiny("bert"), tiny_spec("head"))
        rows = with_features(one.encoder, split, 4, PLAIN, lambda _: None) if featured else split
        results.append(fit(one.encoder, one.method, rows, rows, spec, PLAIN, Observer()))
        torch.testing.assert_close(
            torch.from_numpy(predict(one.encoder, split, 5, PLAIN)), torch.from_numpy(results[-1].dev_logits),
            atol=1e-6, rtol=0,
        )  # fmt: skip
    assert [row.train_loss for row in results[0].curve] == pytest.approx(
        [row.train_loss for row in results[1].curve], abs=1e-6
    )
    assert results[0].curve[0].train_loss > results[0].curve[-1].train_loss

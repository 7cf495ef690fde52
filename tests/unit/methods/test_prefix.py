from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conformance.contract import subject, tiny_spec

from welltuned import methods
from welltuned.errors import UsageError
from welltuned.pretrained import Pretrained
from welltuned.shapes import known_shape
from welltuned.spec import MethodSpec

Find = Callable[[str], Pretrained]


def test_l_e_parameters() -> None:
    """l = 128, d = e = 768, two classes: 98,304 + 1,538 = 99,842."""
    method = methods.build(MethodSpec(name="prefix", config={"length": 128}))
    assert sum(method.ledger(known_shape("bert-base")).values()) == 99_842


@pytest.mark.parametrize("family", ["bert", "electra"])
def test_it_starts_from_words_of_the_vocabulary(family: str, tiny: Find) -> None:
    one = subject(tiny(family), tiny_spec("prefix", length=6))
    assert one.encoder.prompt is not None
    vectors, words = one.encoder.prompt().detach(), one.encoder.words.weight
    assert vectors.shape == (6, one.encoder.shape.embedding)
    assert all(any(torch.equal(vector, word) for word in words) for vector in vectors)
    assert vectors.unique(dim=0).shape[0] > 1
    assert vectors.data_ptr() != words.data_ptr()


def test_it_can_start_from_noise(tiny: Find) -> None:
    one = subject(tiny("bert"), tiny_spec("prefix", length=100, init="normal"))
    assert one.encoder.prompt is not None
    assert 0.018 < one.encoder.prompt().std() < 0.022


def test_the_seed_decides_the_words(tiny: Find) -> None:
    a, b, c = (subject(tiny("bert"), tiny_spec("prefix", length=6), seed=seed).encoder.prompt for seed in (1, 1, 2))
    assert a is not None
    assert b is not None
    assert c is not None
    assert torch.equal(a(), b())
    assert not torch.equal(a(), c())


def test_values_out_of_range() -> None:
    for field in ({"length": 0}, {"init": "zeros"}):
        with pytest.raises(UsageError, match="does not take"):
            methods.config_of("prefix", field)

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.stats import binom
from torch import nn

from welltuned.engine.dropout import (
    ByteDropout,
    byte_dropout,
    drawing_from,
    dropout_state,
    dropout_stream,
    kept_of_256,
    seed_dropout,
    use_byte_dropout,
)
from welltuned.pretrained import Pretrained

N = 200_000


@pytest.mark.parametrize("p", [0.05, 0.1, 0.3, 0.5, 0.9])
def test_the_keep_rate_is_the_nearest_256th(p: float) -> None:
    seed_dropout(0)
    q = kept_of_256(p) / 256
    assert abs(q - (1 - p)) <= 1 / 512
    kept = int((byte_dropout(torch.ones(N), p) != 0).sum())
    low, high = binom.interval(1 - 1e-6, N, q)
    assert low <= kept <= high


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_what_is_kept_is_scaled_so_that_the_mean_stays(p: float) -> None:
    seed_dropout(1)
    values = set(byte_dropout(torch.ones(N), p).unique().tolist())
    scale = 256 / kept_of_256(p)
    assert values == {0.0, torch.tensor(scale).item()}
    q = 1 / scale
    mean = byte_dropout(torch.ones(N), p).double().mean().item()
    assert abs(mean - 1) < 5 * ((1 - q) / q / N) ** 0.5


def test_backward_uses_the_mask_of_forward() -> None:
    x = torch.randn(50, 40, requires_grad=True)
    y = byte_dropout(x, 0.3)
    upstream = torch.randn_like(y)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    kept = y != 0
    scale = 256 / kept_of_256(0.3)
    torch.testing.assert_close(gradient, torch.where(kept, upstream * scale, torch.zeros(())))
    torch.testing.assert_close(y, torch.where(kept, x * scale, torch.zeros(())))


def test_calls_are_independent() -> None:
    seed_dropout(2)
    one, two = (byte_dropout(torch.ones(N), 0.5) != 0 for _ in range(2))
    low, high = binom.interval(1 - 1e-6, N, 0.25)
    assert low <= int((one & two).sum()) <= high
    neighbours = int((one[1:] & one[:-1]).sum())
    assert low - 2000 <= neighbours <= high + 2000


def test_a_seed_gives_the_same_masks_again() -> None:
    seed_dropout(3)
    first = [byte_dropout(torch.ones(100), 0.5) for _ in range(2)]
    seed_dropout(3)
    second = [byte_dropout(torch.ones(100), 0.5) for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(*first)
    seed_dropout(4)
    assert not torch.equal(first[0], byte_dropout(torch.ones(100), 0.5))


def test_a_stream_of_its_own_goes_on_from_a_state_and_leaves_the_other_alone() -> None:
    seed_dropout(5)
    x, state = torch.ones(999), dropout_state()
    expected = [byte_dropout(x, 0.5) for _ in range(2)]
    seed_dropout(6)
    between = dropout_state()
    stream = dropout_stream(state)
    with drawing_from(stream):
        found = byte_dropout(x, 0.5)
    assert dropout_state() == between
    with drawing_from(dropout_stream(dropout_state(stream))):
        again = byte_dropout(x, 0.5)
    assert all(torch.equal(one, two) for one, two in zip(expected, (found, again), strict=True))


def test_the_ends_of_the_range() -> None:
    x = torch.randn(10)
    assert torch.equal(byte_dropout(x, 0.0), x)
    assert torch.equal(byte_dropout(x, 0.001), x)
    assert not byte_dropout(x, 1.0).any()


def test_strided_inputs() -> None:
    x = torch.randn(6, 8).t()
    y = byte_dropout(x, 0.5)
    kept = y != 0
    assert 0 < int(kept.sum()) < 48
    torch.testing.assert_close(y[kept], 2 * x[kept])


def test_evaluation_mode_is_the_identity() -> None:
    x = torch.randn(10)
    assert ByteDropout(0.5).eval()(x) is x
    assert not torch.equal(ByteDropout(0.5).train()(x), x)


def test_every_dropout_of_a_model_is_swapped(tiny: Callable[[str], Pretrained]) -> None:
    encoder = tiny("bert").encoder("native", 2, 0).eval()
    before = {name: m.p for name, m in encoder.named_modules() if isinstance(m, nn.Dropout)}
    use_byte_dropout(encoder)
    after = {name: m for name, m in encoder.named_modules() if isinstance(m, nn.Dropout)}
    assert before == {name: module.p for name, module in after.items()}
    assert before
    assert all(type(module) is ByteDropout and not module.training for module in after.values())
    encoder.train()
    assert all(module.training for module in after.values())

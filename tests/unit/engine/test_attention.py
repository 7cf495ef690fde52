from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from families import FAMILIES, logits_of, tokenized, whole
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from welltuned.engine.attention import NAME, explicit_attention, use_explicit_attention
from welltuned.pretrained import Pretrained

Find = Callable[[str], Pretrained]


def random_qkv(dtype: torch.dtype = torch.float32, rows: int = 2, heads: int = 3, tokens: int = 7) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(rows, heads, tokens, 4, dtype=dtype, generator=generator).requires_grad_() for _ in range(3)]


def padding_mask(tokens: int = 7) -> Tensor:
    """[2, 1, T, T]: the second row has only four tokens."""
    mask = torch.zeros(2, 1, tokens, tokens)
    mask[1, :, :, 4:] = torch.finfo(torch.float32).min
    return mask


@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize("masked", [False, True])
def test_it_is_scaled_dot_product_attention(masked: bool, scaling: float | None) -> None:
    q, k, v = random_qkv()
    mask = padding_mask() if masked else None
    ours, weights = explicit_attention(nn.Identity().eval(), q, k, v, mask, scaling)
    theirs = scaled_dot_product_attention(q, k, v, mask, scale=scaling).transpose(1, 2)
    assert ours.shape == (2, 7, 3, 4)
    assert ours.is_contiguous()
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3, 7))
    seed = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, (q, k, v), seed), torch.autograd.grad(theirs, (q, k, v), seed), strict=True
    ):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)
    if masked:
        assert not weights[1, :, :, 4:].any()


def test_its_gradient_is_its_derivative() -> None:
    q, k, v = random_qkv(torch.float64, rows=1, heads=2, tokens=3)
    mask = torch.tensor([0.0, -1.0, -1e9], dtype=torch.float64).expand(1, 1, 3, 3)
    layer = nn.Identity().eval()
    assert torch.autograd.gradcheck(lambda *qkv: explicit_attention(layer, *qkv, mask)[0], (q, k, v))


def test_inputs_and_mask_stay_as_they_were() -> None:
    q, k, v = random_qkv()
    mask = padding_mask()
    kept = [value.detach().clone() for value in (q, k, v, mask)]
    explicit_attention(nn.Identity(), q, k, v, mask)
    assert all(torch.equal(value, copy) for value, copy in zip((q, k, v, mask), kept, strict=True))


def test_dropout_is_for_training_alone() -> None:
    q, k, v = random_qkv()
    layer = nn.Identity()
    plain, weights = explicit_attention(layer.eval(), q, k, v, None, dropout=0.5)
    assert torch.equal(plain, explicit_attention(layer, q, k, v, None)[0])
    dropped = explicit_attention(layer.train(), q, k, v, None, dropout=0.5)[1]
    kept = dropped != 0
    assert 0.3 < kept.float().mean() < 0.7
    torch.testing.assert_close(dropped[kept], 2 * weights[kept])


@pytest.mark.parametrize("against", ["sdpa", "eager"])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "deberta-v2"])
def test_models_give_the_same_logits_and_gradients(family: str, against: str, tiny: Find) -> None:
    """The rows differ in length, so that padding masks (and ModernBERT's sliding windows) take part."""
    encoder = tiny(family).encoder("mean", 2, 0)
    batch = whole(tokenized(tiny(family), n=6, longest=20))
    results = []
    for implementation in (against, NAME):
        if implementation == NAME:
            assert use_explicit_attention(encoder.backbone)
            assert encoder.backbone.config._attn_implementation == NAME
        else:
            encoder.backbone.set_attn_implementation(implementation)
        encoder.eval().zero_grad()
        logits = encoder(batch)
        cross_entropy(logits, batch.labels).backward()
        results.append((logits.detach(), {name: p.grad.clone() for name, p in encoder.named_parameters()}))
    (one, gradients), (other, others) = results
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, others[name], atol=1e-5, rtol=1e-4, msg=name)


def test_a_family_with_attention_of_its_own_kind_is_left_alone(tiny: Find) -> None:
    encoder = tiny("deberta-v2").encoder("mean", 2, 0)
    batch = whole(tokenized(tiny("deberta-v2")))
    before = logits_of(encoder, batch)
    assert not use_explicit_attention(encoder.backbone)
    assert torch.equal(before, logits_of(encoder, batch))

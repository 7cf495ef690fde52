from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from families import FAMILIES, logits_of, tokenized, whole
from scipy.stats import binom
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from welltuned.engine.attention import GROUPED, NAME, attention, use_fast_attention
from welltuned.engine.dropout import kept_of_256, seed_dropout
from welltuned.engine.rows import _pieces, seen_through
from welltuned.engine.rows import row_attention as of_rows
from welltuned.joined import current
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


def row_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, threshold: int) -> Tensor:
    """Of a padded batch: [B, h, T, k] each -> [B, T, h, k]."""
    rows, heads, tokens, width = q.shape
    layout, more = seen_through(mask, rows, tokens)
    flat = (one.transpose(1, 2).reshape(-1, heads, width) for one in (q, k, v))
    return of_rows(*flat, more, layout, scale, threshold).view(rows, tokens, heads, width)


def by_rows(
    module: nn.Module, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scaling: float | None = None, **_: object
) -> tuple[Tensor, None]:
    """The form with dropout, at a rate that drops nothing."""
    scale, layout = q.shape[-1] ** -0.5 if scaling is None else scaling, current()
    if layout is None:
        return row_attention(q, k, v, mask, scale, 256), None
    return of_rows(*(one[0].transpose(0, 1) for one in (q, k, v)), mask, layout, scale, 256).unsqueeze(0), None


@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rows", [False, True])
def test_it_is_scaled_dot_product_attention(rows: bool, masked: bool, scaling: float | None) -> None:
    q, k, v = random_qkv()
    mask = padding_mask() if masked else None
    if rows:
        ours = row_attention(q, k, v, mask, scaling or 0.5, 256)
    else:
        ours = attention(nn.Identity().eval(), q, k, v, mask, scaling)[0]
    theirs = scaled_dot_product_attention(q, k, v, mask, scale=scaling).transpose(1, 2)
    assert ours.shape == (2, 7, 3, 4)
    assert ours.is_contiguous()
    seen = torch.ones(2, 7, dtype=torch.bool)
    seen[1, 4:] = not masked
    torch.testing.assert_close(ours[seen], theirs[seen], atol=1e-5, rtol=0)
    seed = torch.randn_like(ours) * seen[:, :, None, None]
    for mine, other in zip(
        torch.autograd.grad(ours, (q, k, v), seed), torch.autograd.grad(theirs, (q, k, v), seed), strict=True
    ):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [1, 40, 10_000])
def test_the_size_of_pieces_changes_nothing(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = random_qkv(tokens=8)
    seed_dropout(1)
    whole_heads = row_attention(q, k, v, None, 0.5, 200)
    monkeypatch.setattr("welltuned.engine.rows.CACHED", size)
    seed_dropout(1)
    torch.testing.assert_close(row_attention(q, k, v, None, 0.5, 200), whole_heads)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shift", [-200.0, -40.0, 40.0, 200.0])
def test_scores_of_any_size_are_weighed(shift: float, dtype: torch.dtype) -> None:
    """A number added to all scores of a row changes no weight, also where exp alone would leave the numbers' range."""
    q, k, v = (one.detach().to(dtype) for one in random_qkv())
    mask = padding_mask().to(dtype)
    expected = row_attention(q, k, v, mask, 0.5, 256)
    ones = torch.ones_like(q[..., :1])
    moved = [torch.cat([q, ones], -1), torch.cat([k, ones * 2 * shift], -1), torch.cat([v, 0 * ones], -1)]
    inputs = [one.requires_grad_() for one in moved]
    found = row_attention(*inputs, mask, 0.5, 256)
    seen = torch.ones(2, 7, dtype=torch.bool)
    seen[1, 4:] = False
    if dtype == torch.float32:  # bf16 rounds such scores to whole numbers
        torch.testing.assert_close(found[seen][..., :-1], expected[seen], atol=1e-4, rtol=0)
    upstream = torch.ones_like(found) * seen[:, :, None, None]
    gradients = torch.autograd.grad(found, inputs, upstream)
    assert all(bool(one.isfinite().all()) for one in (found[seen], *gradients))


def test_the_largest_score_is_looked_for_where_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    met: list[int] = []
    softmax = torch.softmax

    def counted(scores: Tensor, dim: int, out: Tensor) -> Tensor:
        met.append(len(scores))
        return softmax(scores, dim=dim, out=out)

    monkeypatch.setattr("welltuned.engine.rows.torch.softmax", counted)
    q, k, v = random_qkv()
    row_attention(q, k, v, None, 0.5, 256)
    assert not met
    row_attention(q * 100, k, v, None, 0.5, 256)
    assert met


def test_a_mask_inside_a_row_is_kept() -> None:
    """A sliding window, as some families have it in some layers, under the padding of the second row."""
    q, k, v = random_qkv(tokens=7)
    far = (torch.arange(7)[:, None] - torch.arange(7)).abs() > 2
    mask = padding_mask().masked_fill(far, torch.finfo(torch.float32).min)
    ours = row_attention(q, k, v, mask, 0.5, 256)
    theirs = scaled_dot_product_attention(q, k, v, mask).transpose(1, 2)
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(ours[1, :4], theirs[1, :4], atol=1e-5, rtol=0)


def test_rows_of_like_length_go_side_by_side() -> None:
    """Three rows of nearly one length, one far shorter, one with a window: each answers as it does alone."""
    tokens, lengths = 12, [12, 11, 12, 4, 12]
    q, k, v = random_qkv(rows=5, tokens=tokens)
    mask = torch.zeros(5, 1, tokens, tokens)
    for row, length in enumerate(lengths):
        mask[row, :, :, length:] = torch.finfo(torch.float32).min
    far = (torch.arange(tokens)[:, None] - torch.arange(tokens)).abs() > 2
    mask[4] = mask[4].masked_fill(far, torch.finfo(torch.float32).min)
    layout, _ = seen_through(mask[:4], 4, tokens)
    cut = [(one.start, one.rows, one.tokens) for one in _pieces(None, layout.lengths, layout.strides, 3, 10**6)]
    assert cut == [(0, 3, 12), (36, 1, 4)]
    together = row_attention(q, k, v, mask, 0.5, 256)
    for row, length in enumerate(lengths):
        alone = row_attention(*(x[row : row + 1] for x in (q, k, v)), mask[row : row + 1], 0.5, 256)
        torch.testing.assert_close(together[row, :length], alone[0, :length])
    seen = (torch.arange(tokens) < torch.tensor(lengths)[:, None])[:, :, None, None]
    theirs = scaled_dot_product_attention(q, k, v, mask).transpose(1, 2)
    seed = torch.randn_like(theirs) * seen
    for mine, other in zip(
        torch.autograd.grad(together, (q, k, v), seed), torch.autograd.grad(theirs, (q, k, v), seed), strict=True
    ):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


def test_another_mask_is_not_taken_for_the_last_one() -> None:
    q, k, v = random_qkv()
    mask = padding_mask()
    short = row_attention(q, k, v, mask, 0.5, 256)
    mask.zero_()
    torch.testing.assert_close(row_attention(q, k, v, mask, 0.5, 256), row_attention(q, k, v, None, 0.5, 256))
    assert not torch.equal(short[1], row_attention(q, k, v, mask, 0.5, 256)[1])


def test_its_gradient_is_its_derivative() -> None:
    q, k, v = random_qkv(torch.float64, rows=2, heads=2, tokens=3)
    mask = torch.tensor([0.0, -1.0, -1e9], dtype=torch.float64).expand(2, 1, 3, 3)
    assert torch.autograd.gradcheck(lambda *qkv: row_attention(*qkv, mask, 0.5, 256), (q, k, v))


def test_its_gradient_is_its_derivative_under_dropout() -> None:
    q, k, v = random_qkv(torch.float64, rows=2, heads=2, tokens=5)

    def dropped(*qkv: Tensor) -> Tensor:
        seed_dropout(5)
        return row_attention(*qkv, None, 0.5, 150)

    assert torch.autograd.gradcheck(dropped, (q, k, v))


def test_inputs_and_mask_stay_as_they_were() -> None:
    q, k, v = random_qkv()
    mask = padding_mask()
    kept = [value.detach().clone() for value in (q, k, v, mask)]
    attention(nn.Identity().train(), q, k, v, mask, dropout=0.1)[0].sum().backward()
    assert all(torch.equal(value, copy) for value, copy in zip((q, k, v, mask), kept, strict=True))


def test_dropout_is_for_training_alone() -> None:
    q, k, v = random_qkv()
    layer = nn.Identity()
    plain = attention(layer.eval(), q, k, v, None, dropout=0.5)[0]
    assert torch.equal(plain, attention(layer, q, k, v, None)[0])
    assert not torch.equal(plain, attention(layer.train(), q, k, v, None, dropout=0.5)[0])
    assert not attention(layer, q, k, v, None, dropout=1.0)[0].any()


def test_weights_are_dropped_at_the_rate_and_scaled() -> None:
    """With unit vectors for values the output is the weights themselves."""
    tokens = 200
    q, k = torch.zeros(2, 3, tokens, tokens), torch.zeros(2, 3, tokens, tokens)
    v = torch.eye(tokens).expand(2, 3, tokens, tokens)
    seed_dropout(0)
    weights = row_attention(q, k, v, None, 1.0, kept_of_256(0.3)).transpose(1, 2)
    kept = weights != 0
    q_keep = kept_of_256(0.3) / 256
    low, high = binom.interval(1 - 1e-6, kept.numel(), q_keep)
    assert low <= int(kept.sum()) <= high
    torch.testing.assert_close(weights[kept].unique(), torch.tensor([1 / tokens / q_keep]))
    heads = kept.double().flatten(2) - q_keep
    assert abs(float((heads[:, 0] * heads[:, 1]).mean())) < 5 * q_keep * (1 - q_keep) / (2 * tokens**2) ** 0.5


@pytest.mark.parametrize("against", ["sdpa", "eager"])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "deberta-v2"])
def test_models_give_the_same_logits_and_gradients(
    family: str, joined: bool, rows: bool, against: str, tiny: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows differ in length, so that padding masks (and ModernBERT's sliding windows) take part."""
    encoder = tiny(family).encoder("mean", 2, 0)
    encoder.end_to_end = GROUPED if joined else None
    batch = whole(tokenized(tiny(family), n=6, longest=20))
    if rows:
        monkeypatch.setattr("welltuned.engine.attention.attention", by_rows)
    results = []
    for implementation in (against, NAME):
        if implementation == NAME:
            assert use_fast_attention(encoder.backbone)
            assert encoder.backbone.config._attn_implementation == NAME
            assert encoder.joins == joined
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
    assert not use_fast_attention(encoder.backbone)
    assert torch.equal(before, logits_of(encoder, batch))

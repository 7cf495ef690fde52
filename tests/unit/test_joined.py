"""Rows end to end: where each stands, and what an encoder makes of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from families import FAMILIES, logits_of, tokenized, whole
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from welltuned.batches import PAD_MULTIPLE
from welltuned.encoders import Encoder
from welltuned.engine import Compute, prepare
from welltuned.joined import Layout, Part, by_part, current, standing
from welltuned.pretrained import Pretrained

Find = Callable[[str], Pretrained]
FAST = Compute(torch.device("cpu"), "fp32", "fast")
LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=30)


@given(LENGTHS, st.booleans())
def test_every_row_has_room_and_little_more(lengths: list[int], in_order: bool) -> None:
    lengths = sorted(lengths, reverse=True) if in_order else lengths
    layout = Layout.of(lengths, max(lengths))
    assert layout.lengths == tuple(lengths)
    assert all(own <= stride <= max(lengths) for own, stride in zip(lengths, layout.strides, strict=True))
    assert all(stride % PAD_MULTIPLE == 0 or stride == max(lengths) for stride in layout.strides)
    assert layout.tokens == sum(layout.strides) <= len(lengths) * max(lengths)
    assert [row for group in layout.groups for row in range(len(lengths))[group.rows]] == list(range(len(lengths)))
    assert sum(group.count * group.tokens for group in layout.groups) == layout.tokens


def test_long_rows_do_not_make_short_ones_long() -> None:
    layout = Layout.of([250] * 2 + [30] * 20, 256)
    assert layout.strides == (256,) * 2 + (32,) * 20
    assert [(one.start, one.count, one.tokens) for one in layout.groups] == [(0, 2, 256), (512, 20, 32)]
    assert len(Layout.of([40, 39, 38, 36, 33], 40).groups) == 1, "a group has its price"


@given(LENGTHS)
def test_joined_and_padded_again_tokens_are_what_they_were(lengths: list[int]) -> None:
    longest = max(lengths) + 3
    layout = Layout.of(lengths, longest)
    own = torch.arange(longest) < torch.tensor(lengths)[:, None]
    batch = torch.randn(len(lengths), longest, 2) * own[..., None]
    joined = layout.join(batch)
    assert joined.shape == (1, layout.tokens, 2)
    assert torch.equal(layout.pad(joined, longest), batch)
    starts = [sum(layout.strides[:row]) for row in range(len(lengths))]
    positions = layout.positions(2)[0]
    for row, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        assert torch.equal(joined[0, start : start + length], batch[row, :length])
        assert positions[start : start + length].tolist() == list(range(2, 2 + length))


def test_gradients_go_to_and_fro() -> None:
    layout = Layout.of([9, 7, 2], 9)
    batch = torch.randn(3, 9, 2, dtype=torch.float64, requires_grad=True)
    joined = torch.randn(1, layout.tokens, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layout.join, (batch,))
    assert torch.autograd.gradcheck(lambda one: layout.pad(one, 9), (joined,))


def test_a_layout_holds_within_its_block_and_its_thread() -> None:
    seen: list[Layout | None] = []
    layout = Layout.of([3], 3)
    with standing(layout):
        assert current() is layout
        other = threading.Thread(target=lambda: seen.append(current()))
        other.start()
        other.join()
    assert current() is None
    assert seen == [None]


def shapes_in(encoder: Encoder, work: Callable[[], Any]) -> list[tuple[int, ...]]:
    """Of what every block takes."""
    seen: list[tuple[int, ...]] = []

    def look(_: nn.Module, taken: tuple[Tensor, ...]) -> None:
        seen.append(tuple(taken[0].shape))

    hooks = [block.register_forward_pre_hook(look) for block in encoder.blocks]
    work()
    for hook in hooks:
        hook.remove()
    return seen


def test_work_of_parts_is_done_for_each_by_itself() -> None:
    layouts = [Layout((3, 5), (8, 8)), Layout((2,), (8,)), Layout((8, 8), (8, 8))]
    whole = Layout.following(layouts)
    assert whole == Layout((3, 5, 2, 8, 8), (8,) * 5)
    x, y = torch.randn(1, whole.tokens, 2), torch.randn(1, 3, whole.tokens)
    seen: list[Any] = []

    @contextmanager
    def entered(at: int) -> Iterator[None]:
        seen.append(at)
        yield
        seen.append(at)

    def work(at: int, share: Tensor) -> Tensor:
        seen.append(current())
        assert by_part(lambda place, one: one * 0 + place, share).eq(0).all(), "inside a part there are none"
        return share * at

    parts = [Part(layout, partial(entered, at)) for at, layout in enumerate(layouts)]
    with standing(whole, parts):
        found = by_part(work, x)
        assert seen == [0, layouts[0], 0, 1, layouts[1], 1, 2, layouts[2], 2]
        across = by_part(lambda at, share: share.transpose(1, 2) * at, y, dim=2)
        assert current() == whole
    factors = torch.tensor([0] * 16 + [1] * 8 + [2] * 16)[None, :, None]
    assert torch.equal(found, x * factors)
    assert torch.equal(across, y.transpose(1, 2) * factors)
    assert torch.equal(by_part(lambda at, one: one + at, x), x), "without parts the whole is the first"


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_see_no_row_padded_to_the_longest(family: str, tiny: Find) -> None:
    encoder = prepare(tiny(family).encoder("mean", 2, 0), FAST)
    split = tokenized(tiny(family), n=12, longest=40)
    batch = split.batch(split.lengths.argsort())
    seen = set(shapes_in(encoder, lambda: encoder(batch)))
    rows, longest = batch.ids.shape
    if family == "deberta-v2":  # its attention is its own
        assert not encoder.joins
        assert seen == {(rows, longest, encoder.shape.hidden)}
    else:
        ((one, tokens, _),) = seen
        assert one == 1
        assert sum(batch.lengths) <= tokens < rows * longest


@pytest.mark.parametrize("frontier", [0, 1, 2])
@pytest.mark.parametrize("family", FAMILIES)
def test_states_at_the_frontier_are_those_of_a_padded_batch(family: str, frontier: int, tiny: Find) -> None:
    """What is computed below it, and what comes of it above."""
    padded, joined = (tiny(family).encoder("mean", 2, 0).eval() for _ in range(2))
    prepare(joined, FAST)
    batch = whole(tokenized(tiny(family), n=6, longest=30))
    padded.frontier = joined.frontier = frontier
    expected = logits_of(padded, batch)
    if frontier:
        with torch.no_grad():
            below, other = padded.below(batch), joined.below(batch)
        own = batch.mask.bool()
        torch.testing.assert_close(other[own], below[own], atol=1e-5, rtol=1e-5)
        batch = replace(batch, states=other * batch.mask[..., None])
    torch.testing.assert_close(logits_of(joined, batch), expected, atol=1e-5, rtol=1e-5)


def test_rows_are_padded_where_another_attention_stands(tiny: Find) -> None:
    """One that does not tell them apart, as in a model that is handed over."""
    encoder = prepare(tiny("bert").encoder("mean", 2, 0), FAST).eval()
    batch = whole(tokenized(tiny("bert"), n=6, longest=20))
    expected = logits_of(encoder, batch)
    assert encoder.joins
    encoder.backbone.set_attn_implementation("sdpa")
    assert not encoder.joins
    torch.testing.assert_close(logits_of(encoder, batch), expected, atol=1e-5, rtol=0)

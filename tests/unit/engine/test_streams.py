from __future__ import annotations

import pytest
import torch
from simulated import DEVICE, at_hand
from torch import Tensor

from welltuned.engine import RandomState, random_state, restore_random, seed_everything, stream_of
from welltuned.engine.dropout import byte_dropout

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is at hand")
DEVICES = [torch.device("cpu"), DEVICE, pytest.param(torch.device("cuda"), marks=NO_GPU)]


def draw(device: torch.device) -> Tensor:
    """As dropout does there."""
    if device.type == "cpu":
        return byte_dropout(torch.ones(99), 0.5)
    with at_hand():
        return torch.nn.functional.dropout(torch.ones(99).to(device)).cpu()


def equal(one: RandomState, other: RandomState) -> bool:
    return one[1] == other[1] and all(torch.equal(value, other[0][name]) for name, value in one[0].items())


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_a_stream_goes_on_by_itself_and_leaves_the_others_where_they_stand(device: torch.device) -> None:
    seed_everything(3)
    start = random_state(device)
    expected = [draw(device), draw(device)]
    end = random_state(device)
    own = stream_of(start, device)
    seed_everything(4)
    before = random_state(device)
    for one in expected:
        with own.drawing():
            assert torch.equal(draw(device), one)
        assert equal(random_state(device), before)
        draw(device)  # of another's
        restore_random(*before, device)
    assert equal(own.in_place(start), end)
    assert not equal(start, end)


@pytest.mark.parametrize("device", DEVICES, ids=str)
def test_a_stream_is_left_where_an_error_found_it(device: torch.device) -> None:
    seed_everything(5)
    own, before = stream_of(random_state(device), device), random_state(device)

    def fail() -> None:
        with own.drawing():
            draw(device)
            raise ValueError("a reason")

    with pytest.raises(ValueError, match="a reason"):
        fail()
    assert equal(random_state(device), before)
    draw(device)
    assert equal(own.in_place(before), random_state(device))

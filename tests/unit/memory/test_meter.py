from __future__ import annotations

import torch

from welltuned.memory.meter import StorageMeter

K = 4 * 1024  # bytes of 1024 floats


def test_the_meter_counts_storages_and_not_tensors() -> None:
    outside = torch.zeros(1024)
    meter = StorageMeter()
    meter.ignore([outside])
    with meter:
        a = outside + 1  # one storage
        b = a.view(32, 32)[3:]  # the same one
        assert (meter.held, meter.peak) == (K, K)
        c = torch.cat([a, a])  # twice as large
        assert (meter.held, meter.peak) == (3 * K, 3 * K)
        c.add_(1)  # in place
        outside.mul_(2)  # not counted
        assert meter.held == 3 * K
        del c
        assert (meter.held, meter.peak) == (K, 3 * K)
        del a
        assert meter.held == K, "the view keeps the storage alive"
        del b
        assert (meter.held, meter.peak) == (0, 3 * K)


def test_what_waits_for_backward_is_counted() -> None:
    w = torch.ones(1024, requires_grad=True)
    meter = StorageMeter()
    meter.ignore([w])
    with meter:
        y = (w.exp() * 2).sum()  # exp keeps its result [1024]; the product is freed; the sum is one float
        assert (meter.held, meter.peak) == (K + 4, 2 * K + 4)
        y.backward()
        del y
        assert w.grad is not None
        assert meter.held == K, "only the gradient is left"
    w.grad = None
    assert meter.held == 0

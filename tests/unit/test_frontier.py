from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.contract import Subject, fit, subject, tiny_spec
from families import FAMILIES, tokenized, whole

from welltuned import methods
from welltuned.answering import predict
from welltuned.batches import TokenizedSplit
from welltuned.engine import Compute, prepare
from welltuned.frontier import Constant, Store, constant, identity
from welltuned.pretrained import Pretrained
from welltuned.progress import Observer
from welltuned.spec import MethodSpec, TrainSpec

Find = Callable[[str], Pretrained]
FAST = Compute(torch.device("cpu"), "fp32", "fast")
PLAIN = Compute(torch.device("cpu"), "fp32", "plain")
TOP = MethodSpec(name="lora", config={"rank": 2, "layers": 1})


def given(one: Subject, split: TokenizedSplit) -> TokenizedSplit:
    """The split with what is constant for this subject."""
    part = constant(one.encoder, FAST)
    assert part is not None
    values = np.full(part.numbers(one.encoder, split), np.nan, np.float32)
    part.compute(one.encoder, split, 3, FAST, values, lambda _: None)
    return part.given(split, values)


@pytest.mark.parametrize("method", methods.names())
@pytest.mark.parametrize("head", ["mean", "native"])
def test_what_can_be_kept_follows_from_the_frontier(method: str, head: str, tiny: Find) -> None:
    one = subject(tiny("bert"), tiny_spec(method), head)
    part = constant(one.encoder, FAST)
    assert constant(one.encoder, PLAIN) is None
    if one.encoder.frontier == 0:
        assert part is None
    else:
        only_head = all(name.startswith("head.") for name, p in one.encoder.named_parameters() if p.requires_grad)
        assert part == Constant(one.encoder.frontier, only_head and head == "mean")


def test_some_method_has_a_frontier_between_the_ends(tiny: Find) -> None:
    encoder = subject(tiny("bert"), TOP).encoder
    assert 0 < encoder.frontier < encoder.shape.layers


@pytest.mark.parametrize("head", ["mean", "first"])
def test_features_are_the_pooled_representations_in_row_order(head: str, tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("head"), head), tokenized(tiny("bert"), n=7)
    featured = given(one, split)
    batch = whole(split)
    with torch.no_grad():
        pooled = one.encoder.head.pool(one.encoder.eval().hidden(batch), batch.mask)
    assert featured.features is not None
    torch.testing.assert_close(featured.features, pooled, atol=1e-6, rtol=0)
    assert split.features is None


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("spec", "head"), [(TOP, "mean"), (tiny_spec("head"), "native"), (tiny_spec("head"), "mean")])
def test_logits_are_the_same_from_the_frontier_on(family: str, spec: MethodSpec, head: str, tiny: Find) -> None:
    one, split = subject(tiny(family), spec, head), tokenized(tiny(family), n=7)
    kept = given(one, split)
    assert (kept.features is not None) == (spec.name == "head" and head == "mean")
    np.testing.assert_allclose(predict(one.encoder, kept, 4, FAST), predict(one.encoder, split, 4, FAST), atol=1e-5)
    blocks = list(one.encoder.blocks)
    predict(one.encoder, kept, 4, FAST)
    assert all(now is before for now, before in zip(one.encoder.blocks, blocks, strict=True))


@pytest.mark.parametrize(("spec", "head"), [(TOP, "mean"), (tiny_spec("head"), "native"), (tiny_spec("head"), "mean")])
def test_what_was_kept_loses_nothing_in_bf16(spec: MethodSpec, head: str, tiny: Find) -> None:
    """Blocks hand on bf16 there, and take it again from what was kept in fp32."""
    reduced = Compute(FAST.device, "bf16", "fast")
    one, split = subject(tiny("bert"), spec, head), tokenized(tiny("bert"), n=7)
    prepare(one.encoder, reduced)
    part = constant(one.encoder, reduced)
    assert part is not None
    values = np.full(part.numbers(one.encoder, split), np.nan, np.float32)
    part.compute(one.encoder, split, 7, reduced, values, lambda _: None)
    kept = predict(one.encoder, part.given(split, values), 7, reduced)
    np.testing.assert_allclose(kept, predict(one.encoder, split, 7, reduced), atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_blocks_from_the_frontier_on_are_run(family: str, tiny: Find) -> None:
    one, split = subject(tiny(family), TOP), tokenized(tiny(family), n=4)
    kept = given(one, split)
    run: list[int] = []
    for at, block in enumerate(one.encoder.blocks):
        for module in block.modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_hook(lambda *_, at=at: run.append(at))
    one.encoder(kept.batch(np.arange(4)))
    assert set(run) == set(range(one.encoder.frontier, one.encoder.shape.layers))
    run.clear()
    given(one, split)
    assert set(run) == set(range(one.encoder.frontier))


@pytest.mark.parametrize(("spec", "head"), [(TOP, "mean"), (tiny_spec("head"), "native"), (tiny_spec("head"), "mean")])
def test_a_hundred_steps_from_the_frontier_are_a_hundred_steps_of_the_whole(
    spec: MethodSpec, head: str, tiny: Find
) -> None:
    """All rows in one batch, so that the order does not depend on their lengths; without dropout."""
    split = tokenized(tiny("bert"), n=12, classes=3)
    train = TrainSpec(lr=0.003, epochs=100, batch_size=12)
    losses, dev = [], []
    for keep in (False, True):
        one = subject(tiny("bert"), spec, head)
        for module in one.encoder.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            elif hasattr(module, "dropout_prob"):
                module.dropout_prob = 0.0
        rows = given(one, split) if keep else split
        found = fit(one.encoder, one.method, rows, rows, train, PLAIN, Observer())
        losses.append([row.train_loss for row in found.curve])
        dev.append(found.dev_logits)
        np.testing.assert_allclose(predict(one.encoder, split, 5, PLAIN), found.dev_logits, atol=1e-5)
    np.testing.assert_allclose(*losses, atol=1e-4)
    assert losses[0][-1] < losses[0][0]


def test_the_identity_is_of_everything_that_decides_the_numbers(tiny: Find) -> None:
    one, split = subject(tiny("bert"), TOP), tokenized(tiny("bert"), n=4)
    part = constant(one.encoder, FAST)
    assert part is not None
    keys = [
        identity(part, one.encoder, split, 4, "w", FAST),
        identity(part, one.encoder, split.take(np.arange(3)), 4, "w", FAST),
        identity(part, one.encoder, split, 5, "w", FAST),
        identity(part, one.encoder, split, 4, "v", FAST),
        identity(part, one.encoder, split, 4, "w", Compute(FAST.device, "bf16", "fast")),
        identity(Constant(1, pooled=False), one.encoder, split, 4, "w", FAST),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == identity(part, one.encoder, split, 4, "w", FAST)


class Filling:
    """Counts how often values are computed."""

    def __init__(self, value: float = 1.0) -> None:
        self.value, self.times = value, 0

    def __call__(self, into: np.ndarray) -> float:
        self.times += 1
        into[:] = self.value
        return 7.0


def test_an_entry_is_computed_once(tmp_path: Path) -> None:
    fill = Filling()
    made = Store(tmp_path).make("a" * 64, (3, 4), fill)
    found = Store(tmp_path).find("a" * 64, (3, 4))
    assert found is not None
    assert found.seconds == made.seconds == 7.0
    assert np.array_equal(found.values, made.values)
    assert np.array_equal(found.values, np.ones((3, 4)))
    assert not found.values.flags.writeable
    assert fill.times == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a" * 64]
    assert Store(tmp_path).find("b" * 64, (3, 4)) is None


@pytest.mark.parametrize("harm", ["flip", "cut", "gone", "grown", "json", "shape", "list"])
def test_a_damaged_entry_is_told_and_computed_anew(harm: str, tmp_path: Path) -> None:
    key, said = "a" * 64, []
    Store(tmp_path).make(key, (3, 4), Filling())
    values, entry = tmp_path / key / "values.bin", tmp_path / key / "entry.json"
    if harm == "flip":
        content = bytearray(values.read_bytes())
        content[17] ^= 1
        values.write_bytes(content)
    elif harm == "cut":
        values.write_bytes(values.read_bytes()[:-4])
    elif harm == "grown":
        values.write_bytes(values.read_bytes() * 2)
    elif harm == "gone":
        values.unlink()
    elif harm == "json":
        entry.write_text("{")
    elif harm == "list":
        entry.write_text("[1]")
    shape = (4, 3) if harm == "shape" else (3, 4)
    store = Store(tmp_path, say=said.append)
    assert store.find(key, shape) is None
    again = store.make(key, shape, Filling(2.0))
    assert np.array_equal(again.values, np.full(shape, 2.0))
    found = Store(tmp_path).find(key, shape)
    assert found is not None
    assert np.array_equal(found.values, again.values)
    assert len(said) == 1


def test_the_bound_is_held_and_the_longest_unused_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path, limit=100)
    for number, key in enumerate("abc"):
        store.make(key * 64, (2, 4), Filling())
        os.utime(tmp_path / (key * 64), (number, number))
    store.find("a" * 64, (2, 4))
    mapped = store.find("b" * 64, (2, 4))
    os.utime(tmp_path / ("b" * 64), (0, 0))
    store.make("d" * 64, (2, 4), Filling())
    assert {path.name[0] for path in tmp_path.iterdir()} == {"a", "c", "d"}
    assert mapped is not None
    assert mapped.values.sum() == 8  # whoever has it mapped keeps it


def test_what_is_larger_than_the_bound_stays_in_memory(tmp_path: Path) -> None:
    for limit in (0, 31):
        store = Store(tmp_path / "new", limit=limit)
        assert not store.fits((2, 4))
        assert store.make("a" * 64, (2, 4), Filling()).values.sum() == 8
        assert not (tmp_path / "new").exists()


def test_a_disk_that_does_not_take_it_leaves_it_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert Store(tmp_path / "file").make("a" * 64, (2, 4), Filling()).values.sum() == 8


SLOW_WRITER = """
import sys, time
from pathlib import Path
from welltuned.frontier.store import Store
def fill(into):
    print("filling", flush=True)
    time.sleep(float(sys.argv[2]))
    into[:] = float(sys.argv[3])
    return 1.0
print(Store(Path(sys.argv[1])).make("a" * 64, (200, 4), fill).values.sum(), flush=True)
"""


def writer(folder: Path, seconds: float, value: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SLOW_WRITER, str(folder), str(seconds), str(value)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "filling\n"
    return process


def test_a_writer_killed_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    killed, alive = writer(tmp_path, 60, 1.0), writer(tmp_path, 60, 1.0)
    try:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert len(list(tmp_path.iterdir())) == 2
        assert Store(tmp_path).find("a" * 64, (200, 4)) is None
        Store(tmp_path).make("b" * 64, (1, 4), Filling())
        assert sorted(path.name[0] for path in tmp_path.iterdir()) == [".", "b"]  # the living writer's draft stays
    finally:
        alive.kill()
        alive.communicate()


def test_of_two_writers_one_wins_and_both_go_on(tmp_path: Path) -> None:
    one, two = writer(tmp_path, 0.2, 3.0), writer(tmp_path, 0.2, 3.0)
    assert {one.communicate()[0], two.communicate()[0]} == {"2400.0\n"}
    assert (one.returncode, two.returncode) == (0, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["a" * 64]
    found = Store(tmp_path).find("a" * 64, (200, 4))
    assert found is not None
    assert found.values.sum() == 2400


def test_use_is_remembered(tmp_path: Path) -> None:
    Store(tmp_path).make("a" * 64, (1, 4), Filling())
    os.utime(tmp_path / ("a" * 64), (0, 0))
    Store(tmp_path).find("a" * 64, (1, 4))
    assert time.time() - (tmp_path / ("a" * 64)).stat().st_mtime < 60

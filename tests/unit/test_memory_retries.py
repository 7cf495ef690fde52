"""Memory that runs out while a step or an evaluation is done: smaller pieces, the same gradient, and a note of it."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance import contract
from conformance.contract import PLAIN, subject, tiny_spec
from families import tokenized
from torch import nn

from welltuned import engine, methods
from welltuned.engine import Compute
from welltuned.errors import ResourceError
from welltuned.fit import Fit
from welltuned.memory import Guard
from welltuned.memory.guard import NearlyOutError
from welltuned.pretrained import Pretrained
from welltuned.progress import Observer
from welltuned.spec import TrainSpec
from welltuned.train import Training

Find = Callable[[str], Pretrained]
FAST = Compute(torch.device("cpu"), "fp32", "fast")
SPEC = TrainSpec(lr=0.01, epochs=2, batch_size=8, eval_batch_size=8, weight_decay=0.1)
ERRORS = {
    "cuda": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    "numpy": MemoryError("Unable to allocate 9 GiB"),
    "windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
}


class Notes(Observer):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def begun(origin: Pretrained, method: str = "full", dropout: bool = False, spec: TrainSpec = SPEC) -> Training:
    return contract.begun(origin, tiny_spec(method), spec, FAST, (21, 9), dropout=dropout, observer=Notes())


@contextmanager
def failing_above(training: Training, rows: int, error: BaseException, mode: str = "both") -> Iterator[list[int]]:
    """Forward passes of more rows fail, once half of their work is done."""
    passed: list[int] = []

    def check(module: nn.Module, inputs: Any, output: Any) -> None:
        if mode != "both" and training.encoder.training != (mode == "train"):
            return
        if len(inputs[0]) > rows:
            raise error
        passed.append(len(inputs[0]))

    handle = training.encoder.head.register_forward_hook(lambda module, inputs, output: check(module, [output], output))
    try:
        yield passed
    finally:
        handle.remove()


def finished(training: Training) -> Fit:
    training.run()
    return training.fit()


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_every_allocators_words_are_understood(error: BaseException, tiny: Find) -> None:
    training = begun(tiny("bert"), "head")
    with failing_above(training, 3, error) as passed:
        found = finished(training)
    assert max(passed) == 2
    assert {(one.kind, one.rows) for one in found.incidents} == {("memory", 4), ("memory", 2)}


@pytest.mark.parametrize("method", methods.names())
def test_the_effective_batch_stays(method: str, tiny: Find) -> None:
    """Without dropout, training in pieces follows training at once."""
    whole = finished(begun(tiny("bert"), method))
    training = begun(tiny("bert"), method)
    with failing_above(training, 3, ERRORS["cpu"]) as passed:
        pieces = finished(training)
    assert max(passed) == 2
    assert whole.incidents == []
    for one, other in zip(whole.curve, pieces.curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-3)
        assert one.lr == other.lr
    np.testing.assert_allclose(whole.dev_logits, pieces.dev_logits, atol=1e-3)


@pytest.mark.parametrize("method", methods.names())
def test_pieces_for_the_caches_train_the_same(method: str, tiny: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = finished(begun(tiny("bert"), method))
    monkeypatch.setattr(engine, "TOKENS_AT_ONCE", 40)
    training = begun(tiny("bert"), method)
    with failing_above(training, 99, ERRORS["cpu"]) as passed:
        pieces = finished(training)
    assert max(passed) < SPEC.batch_size
    assert pieces.incidents == []
    for one, other in zip(whole.curve, pieces.curve, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-4)
        assert one.grad_norm == pytest.approx(other.grad_norm, rel=1e-3)
    np.testing.assert_allclose(whole.dev_logits, pieces.dev_logits, atol=1e-3)


def test_the_plain_engine_takes_batches_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "TOKENS_AT_ONCE", 40)
    assert FAST.tokens_at_once == 40
    assert dataclasses.replace(FAST, precision="bf16").tokens_at_once == 80
    assert PLAIN.tokens_at_once is None
    assert Compute(torch.device("cuda"), "fp32", "fast").tokens_at_once is None


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_gradient_is_the_mean_over_all_rows(size: int, tiny: Find) -> None:
    """Of one step, tensor by tensor, whatever is left over for the last piece."""
    gradients = []
    for at_once in (8, size):
        training = begun(tiny("bert"))
        training._at_once["training"] = at_once
        training.encoder.train()
        loss, right = training.gradients(np.arange(8))
        gradients.append(
            {n: p.grad for n, p in training.encoder.named_parameters() if p.grad is not None} | {"loss": loss}
        )
        assert 0 <= right <= 8
    assert gradients[0].keys() == gradients[1].keys()
    for name, value in gradients[0].items():
        torch.testing.assert_close(torch.as_tensor(value), torch.as_tensor(gradients[1][name]), rtol=1e-4, atol=1e-6)


def test_a_retry_draws_as_if_the_failure_had_not_been(tiny: Find) -> None:
    """Training that meets the failure ends as one that knew beforehand how much fits."""
    known = begun(tiny("bert"), dropout=True)
    known._at_once = {"training": 4, "evaluation": 8}
    expected = finished(known)
    training = begun(tiny("bert"), dropout=True)
    with failing_above(training, 4, ERRORS["cpu"], "train"):
        found = finished(training)
    assert [row.train_loss for row in found.curve] == [row.train_loss for row in expected.curve]
    assert np.array_equal(found.dev_logits, expected.dev_logits)


def test_each_retry_is_told_and_kept_through_a_checkpoint(tiny: Find) -> None:
    training = begun(tiny("bert"), "head")
    with failing_above(training, 4, ERRORS["cpu"]):
        training.run(until=4)
    first, second = training.incidents
    assert (first.kind, first.step, first.rows) == ("memory", 0, 4)
    assert "training on 8 rows at once did not fit the memory" in first.what
    assert "can't allocate memory" in first.what
    assert "evaluation on 5 rows at once" in second.what  # nine, in two pieces
    assert second.step == 3
    assert sum("did not fit" in said for said in training.observer.said) == 2  # type: ignore[attr-defined]
    again = begun(tiny("bert"), "head")
    again.restore(training.snapshot())
    assert again.incidents == training.incidents
    with failing_above(again, 4, ERRORS["cpu"]):
        assert finished(again).incidents == training.incidents, "nothing has to be found out twice"


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_one_row_too_much_ends_it(mode: str, tiny: Find) -> None:
    training = begun(tiny("bert"), "head")
    with (
        failing_above(training, 0, ERRORS["cpu"], mode),
        pytest.raises(ResourceError, match="not even one row") as told,
    ):
        training.run()
    assert "can't allocate" in (told.value.why or "")
    assert training.step == (0 if mode == "train" else 3)
    state = training.snapshot()
    again = begun(tiny("bert"), "head")
    again.restore(state)
    assert len(finished(again).curve) == 2


def test_other_errors_are_not_taken_for_it(tiny: Find) -> None:
    training = begun(tiny("bert"), "head")
    with (
        failing_above(training, 3, RuntimeError("shapes cannot be multiplied")),
        pytest.raises(RuntimeError, match="shap"),
    ):
        training.run()


def test_the_guard_stops_a_pass_and_smaller_ones_fit(tiny: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process would hold more than it may while more than two rows are on their way."""
    training = begun(tiny("bert"))
    rows = [0]
    training.encoder.register_forward_pre_hook(lambda module, inputs: rows.__setitem__(0, len(inputs[0])))
    monkeypatch.setattr("welltuned.memory.guard.resident", lambda: 200 if rows[0] > 2 else 100)
    monkeypatch.setattr("welltuned.memory.guard.PAUSE", 0.0)
    guard = Guard(150, torch.device("cpu"))
    with guard.watching(training.encoder, training.encoder.blocks):
        found = finished(training)
    assert {one.rows for one in found.incidents} == {4, 2}
    assert all(re.search(r"the process holds .* of .* MiB", one.what) for one in found.incidents)
    rows[0] = 9
    with pytest.raises(NearlyOutError):
        guard._before(training.encoder, None)
    assert finished(begun(tiny("bert"))).incidents == [], "without a guard nothing is watched"


def test_the_guard_leaves_the_machine_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [10**15]
    monkeypatch.setattr("welltuned.memory.guard.available", lambda _: left[0])
    guard = Guard(None, torch.device("cpu"))
    assert guard.over() == ""
    left[0] = 1
    assert "the machine has 0 MiB left" in guard.over()
    assert not Guard(None, torch.device("cuda"))._watches


def test_plain_transformers_too(tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("lora")), tokenized(tiny("bert"), n=8, classes=3)
    training = Training(one.encoder, one.method, split, split, SPEC, PLAIN, Notes())
    with failing_above(training, 4, ERRORS["numpy"]):
        assert {incident.rows for incident in finished(training).incidents} == {4}


REAL = """
import resource, sys
sys.path[:0] = sys.argv[1:]
import torch
torch.set_num_threads(1)
from pathlib import Path
from tempfile import mkdtemp
import psutil
from families import FAMILIES, write_model
from unit.test_memory_retries import begun, finished
from welltuned.pretrained import pretrained
from welltuned.spec import ModelSpec

folder = Path(mkdtemp())
write_model(FAMILIES["bert"], folder)
training = begun(pretrained(ModelSpec(name=str(folder), max_length=64)))
alone = finished(begun(pretrained(ModelSpec(name=str(folder), max_length=64))))
row = 64 << 20

def takes(module, inputs, output):
    torch.ones(len(output) * row, dtype=torch.uint8)

training.encoder.head.register_forward_hook(takes)
limit = psutil.Process().memory_info().vms + 6 * row
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
found = finished(training)
print([one.what for one in found.incidents])
assert {one.rows for one in found.incidents} == {4}, found.incidents
assert max(abs(a.train_loss - b.train_loss) for a, b in zip(alone.curve, found.curve)) < 1e-3
"""


def test_a_real_limit_on_memory(tmp_path: Path) -> None:
    """The system refuses 64 MiB for each of eight rows, and grants them for four."""
    known = {**os.environ, "OMP_NUM_THREADS": "1"}
    tests = Path(__file__).parents[1]
    script = [sys.executable, "-c", REAL, str(tests), str(tests.parent)]
    done = subprocess.run(script, capture_output=True, text=True, check=False, env=known)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "did not fit the memory" in done.stdout
    assert "allocate" in done.stdout

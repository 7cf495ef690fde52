"""A training that was taken at some step and put back goes on bit for bit, whatever ran between."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from conformance import contract
from conformance.contract import PLAIN, tiny_spec
from families import FAMILIES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from welltuned import methods
from welltuned.batches import TokenizedSplit
from welltuned.checkpoints import State
from welltuned.encoders import Encoder
from welltuned.engine import Compute, seed_everything
from welltuned.fit import Fit
from welltuned.frontier import constant
from welltuned.pretrained import Pretrained
from welltuned.spec import TrainSpec
from welltuned.train import Training

Find = Callable[[str], Pretrained]
FAST = Compute(torch.device("cpu"), "fp32", "fast")
SPEC = TrainSpec(lr=0.02, epochs=3, batch_size=4, eval_batch_size=8, warmup_ratio=0.2, patience=3)
STEPS = 9


def begun(origin: Pretrained, method: str, compute: Compute = FAST, spec: TrainSpec = SPEC, **config: Any) -> Training:
    return contract.begun(origin, tiny_spec(method, **config), spec, compute, (11, 9))


def ended(training: Training) -> tuple[dict[str, torch.Tensor], Fit, State]:
    training.run()
    state = training.snapshot()
    found = training.fit()
    return {name: value.detach().clone() for name, value in training.encoder.state_dict().items()}, found, state


def travelled(state: State) -> State:
    """As it comes back from a disk."""
    tensors = {name: value.detach().clone() for name, value in state.tensors.items()}
    return State(tensors, json.loads(json.dumps(state.numbers)))


def timeless(rows: list[Any]) -> list[Any]:
    return [row.model_copy(update={"seconds": 0.0}) for row in rows]


def require_equal(one: Any, other: Any) -> None:
    (weights, found, state), (weights2, found2, state2) = one, other
    assert weights.keys() == weights2.keys()
    assert all(torch.equal(value, weights2[name]) for name, value in weights.items())
    assert timeless(found.curve) == timeless(found2.curve)
    assert (found.best_epoch, found.alarms) == (found2.best_epoch, found2.alarms)
    assert np.array_equal(found.dev_logits, found2.dev_logits)
    assert state.tensors.keys() == state2.tensors.keys()
    assert all(torch.equal(value, state2.tensors[name]) for name, value in state.tensors.items())
    assert all(state.numbers[name] == state2.numbers[name] for name in ("step", "random", "watch", "best_epoch"))


@pytest.mark.parametrize("method", methods.names())
@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_on_every_family(family: str, method: str, tiny: Find) -> None:
    whole = begun(tiny(family), method)
    assert whole.steps == STEPS
    expected = ended(whole)
    assert len({row.train_loss for row in expected[1].curve}) == 3
    first = begun(tiny(family), method)
    first.run(until=4)
    assert first.step == 4
    state = travelled(first.snapshot())
    seed_everything(99)
    again = begun(tiny(family), method)
    again.restore(state)
    require_equal(expected, ended(again))


@given(stops=st.lists(st.integers(0, STEPS), max_size=4), method=st.sampled_from(["full", "lora"]), data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_at_any_steps(stops: list[int], method: str, data: st.DataObject, tiny: Find) -> None:
    compute = data.draw(st.sampled_from([PLAIN, FAST]))
    config = {"dropout": 0.3} if method == "lora" else {}
    expected = ended(begun(tiny("bert"), method, compute, **config))
    training = begun(tiny("bert"), method, compute, **config)
    for stop in sorted(stops):
        training.run(until=stop)
        assert training.step == stop
        state = travelled(training.snapshot())
        training = begun(tiny("bert"), method, compute, **config)
        torch.rand(7)
        training.restore(state)
    require_equal(expected, ended(training))


def test_dropout_is_on_in_these_tests(tiny: Find) -> None:
    curves = []
    for seed in (0, 1):
        training = begun(tiny("bert"), "full")
        training._streams = _streams(seed)
        training.run(until=3)
        curves.append(training.curve[0].train_loss)
    assert curves[0] != curves[1]


def _streams(seed: int) -> Any:
    from welltuned.engine import random_state

    seed_everything(seed)
    return random_state(FAST.device)


def test_two_trainings_in_turns_do_not_disturb_each_other(tiny: Find) -> None:
    expected = ended(begun(tiny("bert"), "full"))
    one, other = begun(tiny("bert"), "full"), begun(tiny("bert"), "prefix")
    for step in range(1, STEPS):
        one.run(until=step)
        other.run(until=step)
    require_equal(expected, ended(one))


def test_a_state_stays_as_it_is(tiny: Find) -> None:
    """One state serves several trainings, and none of them writes into it."""
    training = begun(tiny("bert"), "full")
    training.run(until=4)
    state = training.snapshot()
    before = travelled(state)
    results = []
    for _ in range(2):
        training.restore(state)
        results.append(ended(training))
    require_equal(*results)
    assert all(torch.equal(value, state.tensors[name]) for name, value in before.tensors.items())
    assert before.numbers == json.loads(json.dumps(state.numbers))


def test_a_state_serves_a_longer_training_whose_rates_begin_alike(tiny: Find) -> None:
    short, long = (SPEC.model_copy(update={"schedule": "constant", "warmup_ratio": 0.0, "epochs": n}) for n in (1, 3))
    expected = ended(begun(tiny("bert"), "full", spec=long))
    first, then = begun(tiny("bert"), "full", spec=short), begun(tiny("bert"), "full", spec=long)
    first.run()
    assert first.ended
    then.restore(first.snapshot())
    require_equal(expected, ended(then))


def kept(encoder: Encoder, split: TokenizedSplit) -> TokenizedSplit:
    part = constant(encoder, FAST)
    assert part is not None
    values = np.empty(part.numbers(encoder, split), np.float32)
    part.compute(encoder, split, 8, FAST, values, lambda _: None)
    return part.given(split, values)


def test_pooled_features_go_on_too(tiny: Find) -> None:
    def made() -> Training:
        one = begun(tiny("bert"), "head")
        one.train, one.dev = (kept(one.encoder, split) for split in (one.train, one.dev))
        return one

    expected, first, again = ended(made()), made(), made()
    first.run(until=5)
    again.restore(travelled(first.snapshot()))
    require_equal(expected, ended(again))


def test_a_stop_in_the_evaluation_answers_dev_anew(tiny: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    from welltuned import train

    expected = ended(begun(tiny("bert"), "full"))
    training, real = begun(tiny("bert"), "full"), train.predict
    training.run(until=3)

    def broken(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "predict", broken)
    with pytest.raises(KeyboardInterrupt):
        training.run()
    monkeypatch.setattr(train, "predict", real)
    assert (training.step, len(training.curve)) == (6, 1)
    again = begun(tiny("bert"), "full")
    again.restore(travelled(training.snapshot()))
    require_equal(expected, ended(again))


def test_seconds_add_up(tiny: Find) -> None:
    training = begun(tiny("bert"), "head")
    training.run(until=4)
    state = travelled(training.snapshot())
    state.numbers["seconds"]["train"] += 1000.0
    state.numbers["totals"]["seconds"] += 500.0
    again = begun(tiny("bert"), "head")
    again.restore(state)
    again.run()
    assert again.seconds["train"] > 1000.0
    assert again.curve[1].seconds > 500.0 > again.curve[2].seconds


def test_the_loop_ends_where_patience_ends(tiny: Find) -> None:
    spec = SPEC.model_copy(update={"lr": 1e-30, "patience": 1, "epochs": 9})
    training = begun(tiny("bert"), "head", spec=spec)
    training.run()
    assert training.ended
    assert len(training.curve) == 2
    again = begun(tiny("bert"), "head", spec=spec)
    again.restore(travelled(training.snapshot()))
    assert again.ended
    again.run()
    assert len(again.curve) == 2


def test_the_state_of_another_training_is_refused(tiny: Find) -> None:
    state = begun(tiny("bert"), "head").snapshot()
    with pytest.raises(KeyError):
        begun(tiny("bert"), "lora").restore(state)

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.attention import estimators, retrieval
from welltuned.errors import UsageError


@pytest.fixture(scope="module")
def learned() -> retrieval.Retrieval:
    return retrieval.measure(seeds=(0, 1), task=retrieval.Task(steps=60, every=20))


def curve(result: retrieval.Retrieval, name: str, part: str) -> torch.Tensor:
    return getattr(result, part)[result.names.index(name)]


def test_argmax_never_moves_and_stays_at_guessing(learned):
    accuracy = curve(learned, "argmax", "accuracy")
    assert curve(learned, "argmax", "moved").tolist() == [0, 0]
    assert (accuracy == accuracy[:, :1]).all()
    assert (accuracy < 0.4).all()


@pytest.mark.parametrize("name", ["softmax", "straight_through", "gumbel_straight_through"])
def test_estimators_with_a_gradient_learn_the_task(learned, name):
    assert (curve(learned, name, "accuracy")[:, -1] > 0.95).all()
    loss = curve(learned, name, "loss")
    assert (loss[:, -1] < 0.6 * loss[:, 0]).all()


@settings(deadline=None, max_examples=6)
@given(st.integers(0, 2**31 - 1))
def test_whatever_the_seed_softmax_and_straight_through_learn_and_argmax_does_not(seed):
    three = (estimators.softmax, estimators.argmax, estimators.straight_through)
    result = retrieval.measure(three, seeds=(seed,), task=retrieval.Task(steps=60, every=60))
    soft, hard, through = result.accuracy[:, 0]
    assert min(soft[-1], through[-1]) > 0.9
    assert hard[0] == hard[-1] < 0.6
    assert (result.moved[:, 0] > 0).tolist() == [True, False, True]


def test_all_estimators_start_from_the_same_place_on_the_same_problems(learned):
    start = learned.accuracy[..., 0]
    assert (start == start[:1]).all()
    assert not torch.equal(start[0, 0], curve(learned, "softmax", "accuracy")[0, -1])


def test_a_seed_repeats_itself(learned):
    again = retrieval.measure((estimators.softmax,), seeds=(1,), task=retrieval.Task(steps=20, every=20))
    assert torch.equal(again.accuracy[0, 0], curve(learned, "softmax", "accuracy")[1, :2])


def test_the_result_is_json_and_draws(learned):
    assert json.loads(json.dumps(learned.to_dict(), allow_nan=False))["steps"] == [0, 20, 40, 60]
    assert len(retrieval.figure(learned).axes) == 2


@pytest.mark.parametrize("task", [retrieval.Task(keys=1), retrieval.Task(steps=0)])
def test_tasks_without_a_choice_or_a_step_are_refused(task):
    with pytest.raises(UsageError, match="retrieval needs"):
        retrieval.measure(task=task)

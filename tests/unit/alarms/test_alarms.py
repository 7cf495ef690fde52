from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from welltuned import alarms
from welltuned.alarms import Failure, Panel, Reading, Removal, Standing, Trace, Training, raised
from welltuned.errors import DivergedError, ResourceError
from welltuned.progress import Observer
from welltuned.record import EpochRow
from welltuned.watch import Watch

LABELS = np.array([0] * 12 + [1] * 8)
RIGHT, FIRST, SECOND = [0] * 12 + [1] * 8, [0] * 20, [1] * 20
SLIGHTLY = [0] * 12 + [1] * 2 + [0] * 6


def logits(answers: list[int] | np.ndarray, sure: float = 1.0) -> np.ndarray:
    return sure * np.eye(2, dtype=np.float32)[answers]


def curve(*train: float, dev: list[float] | None = None, loss: list[float] | None = None) -> list[EpochRow]:
    dev, loss = dev or [0.6] * len(train), loss or [0.6] * len(train)
    return [
        EpochRow(
            epoch=i + 1, train_loss=loss[i], train_accuracy=accuracy, dev_loss=0.6, dev_accuracy=dev[i], lr=1e-3,
            seconds=1, grad_norm=1, planned_lr=1e-3,
        )
        for i, accuracy in enumerate(train)
    ]  # fmt: skip


def training(answers: list[int], rows: list[EpochRow], traces: tuple[Trace, ...] = (), done: bool = True) -> Training:
    return Training(rows, logits(answers), LABELS, 0.6, traces, done)


@pytest.mark.parametrize(
    ("answers", "accuracies", "kinds"),
    [
        (RIGHT, (0.9,), []),
        (SLIGHTLY, (0.9,), ["majority"]),  # 14 of 20 against 12: p is 1/4
        ([0] * 12 + [1] * 5 + [0] * 3, (0.9,), []),  # 17 against 12: p is 1/32
        (FIRST, (0.9,), ["collapsed"]),
        (SECOND, (0.9,), ["collapsed"]),
        ([1] * 12 + [0] * 8, (0.9,), ["majority"]),
        (RIGHT, (0.6, 0.6, 0.61), ["not-learning"]),
        (RIGHT, (0.6, 0.61), []),  # too early to tell
        (RIGHT, (0.5, 0.6, 0.63), []),
        (FIRST, (0.6, 0.6, 0.6), ["collapsed", "not-learning"]),
    ],
)
def test_kinds(answers: list[int], accuracies: tuple[float, ...], kinds: list[str]) -> None:
    found = raised(training(answers, curve(*accuracies)))
    assert [alarm.kind for alarm in found] == kinds
    assert all(alarm.what and alarm.cause and alarm.mend for alarm in found)


def test_figures_are_named() -> None:
    (collapsed,) = raised(training(SECOND, curve(0.9)))
    assert "40.00%" in collapsed.what
    assert "60.00%" in collapsed.cause
    (majority,) = raised(training([1] * 12 + [0] * 8, curve(0.9)))
    assert "0.00% against 60.00%" in majority.what


def test_a_model_may_begin_with_one_class() -> None:
    assert raised(training(FIRST, curve(0.6), done=False)) == []
    assert [one.kind for one in raised(training(FIRST, curve(0.9, 0.9, 0.9), done=False))] == ["collapsed"]


def test_tensors() -> None:
    traces = (Trace("a", True, True), Trace("b", False, False), Trace("c", True, False))
    reached, stays = raised(training(RIGHT, curve(0.9), traces))
    assert (reached.kind, stays.kind) == ("no-gradient", "unchanged")
    assert "1 of 3 trained tensors (b)" in reached.what
    assert "1 of 3 trained tensors (c)" in stays.what


@pytest.mark.parametrize(
    ("dev", "found"),
    [
        ([0.8, 0.5, 0.5, 0.5], True),
        ([0.8, 0.5, 0.5], False),  # not long past
        ([0.8, 0.7, 0.7, 0.79], False),  # not lost
        ([0.8, 0.7, 0.7, 0.7], False),  # 10 points of 20 rows are chance
        ([0.5, 0.5, 0.5, 0.8], False),
    ],
)
def test_a_peak_long_past(dev: list[float], found: bool) -> None:
    kinds = [one.kind for one in raised(training(RIGHT, curve(*[0.9] * len(dev), dev=dev)))]
    assert kinds == (["peak-past"] if found else [])


@pytest.mark.parametrize(("loss", "found"), [([0.7, 0.4, 1.5], True), ([0.7, 0.1, 0.4], False), ([1.3, 0.7], False)])
def test_an_exploding_loss(loss: list[float], found: bool) -> None:
    kinds = [one.kind for one in raised(training(RIGHT, curve(*[0.9] * len(loss), loss=loss)))]
    assert kinds == (["exploding"] if found else [])


def test_a_failure_is_an_alarm_only_where_numbers_failed() -> None:
    (found,) = raised(Failure(DivergedError("not finite at step 3", why="w", mend="m")))
    assert (found.kind, found.what, found.cause, found.mend) == ("not-finite", "not finite at step 3", "w", "m")
    assert raised(Failure(ResourceError("no room"))) == []


def test_a_rate_off_its_plan() -> None:
    first, second = curve(0.9, 0.9)
    rows = [first, second.model_copy(update={"planned_lr": 5e-4})]
    (found,) = raised(training(RIGHT, rows))
    assert found.kind == "schedule"
    assert "0.001 and should have been 0.0005" in found.what


def test_removal() -> None:
    same, other = logits(RIGHT, 3.0), logits(RIGHT, 3.1)
    assert [one.kind for one in raised(Removal(same, same, 4))] == ["dead-adapter"]
    assert raised(Removal(same, other, 4)) == []
    assert raised(Removal(same, same, 0)) == []


@pytest.mark.parametrize(
    ("cut", "found"),
    [
        ((0.1, 0.1), False),
        ((0.4, 0.1), True),
        ((0.04, 0.0), False),  # significant with enough rows, and of no matter
        ((0.0, 0.0), False),
        ((1.0, 1.0), False),
    ],
)
@pytest.mark.parametrize("classes", [2, 3])
def test_truncation_by_class(cut: tuple[float, float], found: bool, classes: int) -> None:
    labels = np.repeat(np.arange(classes), 400)
    lost = np.concatenate([np.arange(400) < 400 * cut[min(one, 1)] for one in range(classes)])
    kinds = [one.kind for one in raised(Reading("train", labels, lost, ("no", "yes", "maybe"), 64))]
    assert kinds == (["truncation"] if found else [])


def test_tfidf_and_one_text_alone() -> None:
    plain = Standing(logits(RIGHT)[None], LABELS, logits(SLIGHTLY))
    assert raised(plain) == []
    assert [one.kind for one in raised(Standing(logits(SLIGHTLY)[None], LABELS, logits(SLIGHTLY)))] == ["tfidf"]
    labels = np.repeat(LABELS, 5)
    tables = {"a": logits(labels)[None]}
    enough = {"TF-IDF, question only": logits(labels), "TF-IDF, passage only": logits(np.zeros(100, int))}
    (found,) = raised(Panel(tables, labels, logits(np.zeros(100, int)), enough))
    assert found.kind == "shortcut"
    assert found.what.startswith("TF-IDF, question only, reaches 100.00%")


def test_suspects_need_two_sure_runs_that_agree() -> None:
    labels = np.repeat(LABELS, 5)
    said = labels.copy()
    said[:4] = 1
    chance = logits(np.zeros(100, int))

    def kinds(*tables: np.ndarray) -> list[str]:
        return [one.kind for one in raised(Panel({"a": np.stack(tables)}, labels, chance, {}))]

    assert kinds(logits(said, 5), logits(said, 4)) == ["label-noise"]
    assert kinds(logits(said, 5)) == []
    assert kinds(logits(said, 5), logits(said, 1)) == []  # not sure
    assert kinds(logits(said, 5), logits(labels, 5)) == []  # not agreed
    assert kinds(logits(said, 5), logits(said, 5), chance) == ["label-noise"]  # a run without skill has no say


def test_every_alarm_is_found_once() -> None:
    functions = [check for _, check in alarms.checks()]
    assert len(set(functions)) == len(functions) >= 13
    assert {kind for kind, _ in alarms.checks()} == {
        Training, Removal, Reading, Standing, Panel, Failure, alarms.Rows,
    }  # fmt: skip


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))


def test_watch_sees_what_gets_a_gradient_and_what_moves() -> None:
    class Heard(Observer):
        said: list[str] = []  # noqa: RUF012

        def say(self, text: str) -> None:
            self.said.append(text)

    one, watch, heard = Pair(), Watch(LABELS, LABELS, Heard()), Heard()
    watch.started(one)
    (one.used.sum() + 0 * one.unused.sum()).backward()
    watch.gradients()
    with torch.no_grad():
        one.used += one.used.grad
    for epochs in (1, 2):
        watch.epoch(curve(*[0.9] * epochs), logits(RIGHT))
    assert len(heard.said) == 1  # said once
    assert "unused" in heard.said[0]
    assert [alarm.kind for alarm in watch.ended(curve(0.9), logits(RIGHT))] == ["no-gradient"]


def test_chance_is_what_guessing_costs() -> None:
    (found,) = raised(training(RIGHT, curve(0.9, 0.9, loss=[0.7, 9.0])))
    assert f"{math.log(2):.3g}" in found.what

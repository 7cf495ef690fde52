from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from families import write_examples

from welltuned import run as runs
from welltuned.errors import DivergedError, UsageError
from welltuned.plan import candidate
from welltuned.record import EpochRow, RunRecord, SearchRecord, SearchTrial, read_run
from welltuned.report import format
from welltuned.search import Search, _near, search, space, trials
from welltuned.search.pruning import PRUNERS, Pruner
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.subject import GIVEN_UP, HopelessError, Subject
from welltuned.workbench import Workbench


def curve(*accuracies: float) -> list[EpochRow]:
    return [
        EpochRow(epoch=at, train_loss=1, train_accuracy=0, dev_loss=1, dev_accuracy=one, lr=1, seconds=1, grad_norm=1)
        for at, one in enumerate(accuracies, start=1)
    ]


def given_up(name: str | None, *curves: list[EpochRow]) -> list[int | None]:
    """After how many epochs each trial is given up."""
    pruner, found = Pruner(name), []
    for one in curves:
        at = next((epoch for epoch in range(1, len(one)) if not pruner.go_on(one[:epoch])), None)
        pruner.ended(one[:at], whole=at is None)
        found.append(at)
    return found


def test_what_is_below_the_median_is_given_up() -> None:
    good = [curve(0.6, 0.7, 0.8)] * 3
    assert given_up("median", *good, curve(0.5, 0.9, 0.9), curve(0.7, 0.6, 0.9), curve(0.9, 0.9, 0.9)) == [
        None, None, None, 1, None, None,
    ]  # fmt: skip
    assert given_up(None, *good, curve(0.1, 0.1, 0.1)) == [None] * 4


@pytest.mark.parametrize("name", PRUNERS)
def test_the_first_trials_are_trained_to_their_end(name: str) -> None:
    assert given_up(name, curve(0.5, 0.6))[0] is None


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="no pruner 'middle'"):
        Pruner("middle")


Make = Callable[..., Search]


@pytest.fixture
def plan(tmp_path: Path, model_folder: Callable[[str], Path]) -> Make:
    (tmp_path / "rows").mkdir()
    rows = write_examples(tmp_path / "rows", {"train": 40, "dev": 16, "test": 12})

    def made(pruner: str | None) -> Search:
        return Search(
            data=DataSpec(source=str(rows)),
            model=ModelSpec(name=str(model_folder("bert")), max_length=40),
            base=candidate("head", {"batch_size": 8, "epochs": 3}),
            space=space("head", ["lr=1e-2,1.1e-2,1.2e-2,1e-7,2e-2"], []),
            compute=ComputeSpec(device="cpu", precision="fp32"),
            pruner=pruner,
        )

    return made


def scripted(monkeypatch: pytest.MonkeyPatch, bad: float) -> list[float]:
    """A trial at the rate ``bad`` has worse dev accuracies than it would; returns the rates that were trained."""
    trained: list[float] = []

    def seen(spec: RunSpec, folder: Path, bench: Workbench, go_on: Any) -> RunRecord:
        def judged(rows: list[EpochRow]) -> bool:
            worse = [row.model_copy(update={"dev_accuracy": 0.0}) for row in rows]
            return bool(go_on is None or go_on(worse if spec.train.lr == bad else rows))

        trained.append(spec.train.lr)
        return runs.trial(spec, folder, bench, judged)

    monkeypatch.setattr(trials, "trial", seen)
    return trained


def at_rate(found: SearchRecord, lr: float) -> SearchTrial:
    return next(one for one in found.trials if one.values["lr"] == lr)


def test_a_trial_that_falls_behind_is_given_up_and_not_chosen(
    plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, bad=1e-7)
    found = search(plan("median"), tmp_path / "out", Workbench(), "typed")
    one = at_rate(found, 1e-7)
    assert (one.given_up, one.is_whole) == (1, False)
    assert found.chosen != one.number
    assert "1 given up on the way (median)" in found.budget
    folder = tmp_path / "out" / "trials" / one.runs[0]
    assert {path.name for path in folder.iterdir()} == {GIVEN_UP}
    whole = search(plan(None), tmp_path / "whole", Workbench(), "typed")
    assert whole.trials[whole.chosen].values == found.trials[found.chosen].values
    for other in whole.trials:
        mine = at_rate(found, other.values["lr"])
        if mine is not one:  # without a rule these heads are trained together, which rounds otherwise
            assert (mine.dev, mine.dev_loss) == (other.dev, pytest.approx(other.dev_loss, abs=1e-5))


def test_the_first_seed_is_judged_and_the_best_half_goes_on(
    plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = scripted(monkeypatch, bad=1e-7)
    judged: list[int] = []
    judge = Pruner.go_on

    def counted(pruner: Pruner, rows: Sequence[EpochRow]) -> bool:
        judged.append(len(rows))
        return judge(pruner, rows)

    monkeypatch.setattr(Pruner, "go_on", counted)
    wanted = replace(plan("median"), seeds=(0, 1, 2))
    found = search(wanted, tmp_path / "out", Workbench(), "typed")
    ends = len(found.trials)  # a curve is told once more when its trial ends
    assert len(judged) == 4 * 3 + 1 + ends
    bad = at_rate(found, 1e-7)
    first = {}
    for one in found.trials:
        if one is not bad:
            record = read_run(tmp_path / "out" / "trials" / one.runs[0])
            row = record.curve[record.best_epoch - 1]
            first[one.number] = (row.dev_accuracy, -row.dev_loss, -one.number)
    best = sorted(first, key=first.__getitem__, reverse=True)[:3]
    for one in found.trials:
        assert one.is_whole == (one.number in best)
        assert trained.count(one.values["lr"]) == (3 if one.is_whole else 1)
        assert one.given_up == {True: None, False: 1 if one is bad else 3}[one.is_whole]
        assert len(one.dev_by_seed) == (3 if one.is_whole else 0 if one is bad else 1)
    assert found.chosen in best
    assert "(the best of 5, " in found.verdict
    lines = {one.number: format.given_up(one) for one in found.trials if not one.is_whole}
    assert lines.pop(bad.number) == "given up after 1 epoch"
    assert set(lines.values()) == {"given up after its first seed"}
    assert not list((tmp_path / "out").rglob(runs.STATE))
    (tmp_path / "out" / "results.json").unlink()
    monkeypatch.setattr(Subject, "train", counting(Subject.train, trained))
    trained.clear()
    again = search(wanted, tmp_path / "out", Workbench(), "typed")
    assert len(trained) == 3 * 3 + 2, "each is asked for as before, and read"
    assert (again.trials, again.chosen) == (found.trials, found.chosen)


def test_a_winner_that_was_second_with_its_first_seed_is_not_trained_again(
    plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev = {1.2e-2: (0.7, 0.9), 1.1e-2: (0.6, 0.5), 1e-2: (0.8, 0.1), 2e-2: (0.5, 0.5), 1e-7: (0.4, 0.5)}

    def scored(spec: RunSpec, folder: Path, bench: Workbench, go_on: Any) -> RunRecord:
        record = runs.trial(spec, folder, bench)
        told = {"dev_accuracy": dev[spec.train.lr][spec.train.seed]}
        return record.model_copy(update={"curve": [row.model_copy(update=told) for row in record.curve]})

    made: list[float] = []
    monkeypatch.setattr(trials, "trial", scored)
    monkeypatch.setattr(Subject, "train", counting(Subject.train, made))
    bench, wanted = Workbench(), replace(plan("median"), seeds=(0, 1))
    found = search(wanted, tmp_path / "out", bench, "typed")
    assert found.winner is at_rate(found, 1.2e-2)
    assert sorted(made) == sorted([*dev, 1.2e-2, 1.1e-2, 1e-2])
    assert {one.number for one in found.trials if one.is_whole} == {at_rate(found, lr).number for lr in list(dev)[:3]}


def test_what_was_given_up_took_seconds_too_and_may_have_been_near(plan: Make, tmp_path: Path) -> None:
    found = trials.Trials(plan("median"), tmp_path, Workbench())
    chosen = SearchTrial(number=0, values={}, runs=[], dev=0.6, dev_by_seed=[0.6, 0.6], seconds=2.0)
    first_seed = SearchTrial(number=1, values={}, runs=[], dev=0.6, dev_by_seed=[0.6], seconds=1.0, given_up=3)
    on_the_way = SearchTrial(number=2, values={}, runs=[], dev=0.6, seconds=0.5, given_up=1)
    found.done = [chosen, first_seed, on_the_way]
    assert (found.budget.seconds, found.budget.trials) == (3.5, 1)
    assert _near(found.done, chosen, rows=100) == [1]


def test_a_seed_that_fails_after_the_first_fails_its_trial(
    plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(spec: RunSpec, folder: Path, bench: Workbench, go_on: Any) -> RunRecord:
        if spec.train.seed == 1 and spec.train.lr == 2e-2:
            raise DivergedError("the loss is not finite")
        return runs.trial(spec, folder, bench, go_on)

    monkeypatch.setattr(trials, "trial", failing)
    monkeypatch.setattr(trials.Pruner, "best_of", lambda _, settings: settings)
    found = search(replace(plan("median"), seeds=(0, 1)), tmp_path / "out", Workbench(), "typed")
    one = at_rate(found, 2e-2)
    assert (one.failure, one.dev, one.dev_by_seed, one.is_whole) == ("the loss is not finite", None, [], False)
    assert found.chosen != one.number


@pytest.mark.parametrize(("name", "settings", "best"), [(None, 6, 6), ("median", 5, 3), ("halving", 6, 2)])
def test_how_many_go_on_with_further_seeds(name: str | None, settings: int, best: int) -> None:
    assert Pruner(name).best_of(settings) == best


def test_a_grid_under_a_rule_is_tried_in_an_order_that_its_seed_mixes(plan: Make) -> None:
    def order(search: Search) -> list[float]:
        return [values["lr"] for values in search.proposals()[1].coming]

    in_turn, mixed = order(plan(None)), order(plan("median"))
    assert in_turn != mixed == order(plan("median"))
    assert sorted(mixed) == sorted(in_turn)
    assert mixed != order(replace(plan("median"), sampler_seed=1))


def test_a_trial_that_was_given_up_is_not_the_best_however_good_it_was(plan: Make, tmp_path: Path) -> None:
    found = trials.Trials(plan("median"), tmp_path, Workbench())
    found.done = [
        SearchTrial(number=0, values={}, runs=[], dev=0.6, dev_loss=0.5),
        SearchTrial(number=1, values={}, runs=[], dev=0.9, dev_loss=0.1, given_up=1),
    ]
    assert found.best.number == 0
    assert found.budget.trials == 1


def test_a_trial_that_was_given_up_can_be_trained_to_its_end_later(plan: Make, tmp_path: Path) -> None:
    (spec,) = plan(None).runs({"lr": 1e-2})
    for _ in range(2):
        with pytest.raises(HopelessError):
            runs.trial(spec, tmp_path / "one", Workbench(), lambda _: False)
    record = runs.trial(spec, tmp_path / "one", Workbench())
    assert len(record.curve) == 3
    assert not (tmp_path / "one" / GIVEN_UP).exists()


def test_a_search_that_was_cut_off_gives_up_the_same_trials_without_training_them(
    plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(monkeypatch, bad=1e-7)
    first = search(plan("median"), tmp_path / "out", Workbench(), "typed")
    (tmp_path / "out" / "results.json").unlink()
    (tmp_path / "out" / "trials" / at_rate(first, 2e-2).runs[0] / "record.json").unlink()
    made: list[float] = []
    monkeypatch.setattr(Subject, "train", counting(Subject.train, made))
    again = search(plan("median"), tmp_path / "out", Workbench(), "typed")
    assert made == [2e-2]
    assert [one.given_up for one in again.trials] == [one.given_up for one in first.trials]
    assert again.chosen == first.chosen
    assert search(plan("median"), tmp_path / "out", Workbench(), "typed") == again
    assert isinstance(again, SearchRecord)


def counting(train: Any, made: list[float]) -> Any:
    def counted(subject: Any, *rest: Any) -> Any:
        made.append(subject.spec.train.lr)
        return train(subject, *rest)

    return counted

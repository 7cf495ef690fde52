import pytest

from welltuned.record import Alarm
from welltuned.report import rows


def test_names_are_the_methods_where_they_tell_rows_apart(comparison):
    assert rows.method_names(comparison)[:5] == ["full", "lora", "prefix", "head", "majority class"]
    comparison.table[1].method = "full"
    assert rows.method_names(comparison)[:3] == ["full on minilm", "lora on minilm", "prefix"]


def test_models_lose_their_owner_only_where_that_is_safe(comparison):
    comparison.table[0].model, comparison.table[1].model = "one/encoder", "two/encoder"
    comparison.table[2].model = "one/other"
    assert rows.model_names(comparison)[:5] == ["one/encoder", "two/encoder", "other", "minilm", None]


def test_majority_accuracy_is_that_of_the_training_majority(comparison):
    comparison.class_shares["dev"] = {"no": 0.7, "yes": 0.3}
    assert rows.majority_accuracy(comparison, "dev") == 0.3
    assert rows.majority_accuracy(comparison, "nowhere") is None
    comparison.class_shares = {}
    assert rows.majority_accuracy(comparison, "dev") is None


def test_memory_is_that_of_the_highest_peak(comparison, runs):
    lora = comparison.table[1]
    runs[lora.runs[1]].memory.peak = 10**12
    assert rows.memories(comparison, runs)[lora.name].peak == 10**12
    assert set(rows.memories(comparison, runs)) == {row.name for row in comparison.table[:4]}


def test_split_is_test_only_where_all_have_it(comparison):
    methods = rows.of_kind(comparison, "method")
    assert rows.scored_split(methods) == "test"
    methods[0].test = None
    assert rows.scored_split(methods) == "dev"
    assert rows.scored_split([]) == "dev"


def test_alarms_of_rows_and_runs_once_each(comparison, runs):
    alarm = Alarm(kind="collapsed", what="one class only", cause="the rate is too high", mend="lower it")
    for name in comparison.table[0].runs:
        runs[name].alarms.append(alarm)
    comparison.table[0].alarms.append(alarm)
    found = rows.alarms(comparison, runs)
    assert [(name, one.kind) for name, one in found] == [
        ("full on minilm", "collapsed"),
        ("prefix on minilm", "truncation"),
    ]


def test_loss_after_peak(runs):
    run = next(iter(runs.values()))
    run.curve[2].dev_accuracy, run.curve[-1].dev_accuracy = 0.9, 0.85
    assert run.lost_after_peak == pytest.approx(0.05)
    run.curve = []
    assert run.lost_after_peak == 0

from __future__ import annotations

import numpy as np
import pytest
from made_records import make_run

from welltuned import methods, stats
from welltuned.baselines import Baseline
from welltuned.judging import Answers, Terms, budget, measures, points, run, statements
from welltuned.judging.comparison import _beside
from welltuned.record import RunRecord, Score


def pair_of(a: np.ndarray, b: np.ndarray) -> tuple[stats.Contrast, ...]:
    return stats.contrasts([(stats.Candidate("A", 1, a[None]), stats.Candidate("B", 1, b[None]))])


def test_a_statement_is_told_from_the_winner() -> None:
    """B is right on 90 of 100 items, A on 50 of them: the difference A - B is negative, the sentence's is not."""
    (said,) = statements(pair_of(np.arange(100) < 50, np.arange(100) < 90), Terms())
    assert said.difference == -0.4
    assert said.high < 0
    assert said.significant
    assert said.sentence.startswith("B beats A: +40.0 points [+")
    assert not said.equivalent


@pytest.mark.parametrize(("margin", "equivalent"), [(0.01, False), (0.05, True)])
def test_without_a_difference_equivalence_is_asked(margin: float, equivalent: bool) -> None:
    a = np.arange(1000) < 800
    b = a.copy()
    b[[0, 1, 2, 900, 901, 902, 903]] ^= True
    b[100:140:2] ^= True
    b[920:960:2] ^= True
    (said,) = statements(pair_of(a, b), Terms(margin=margin))
    assert not said.significant
    assert said.equivalent is equivalent
    assert said.margin == margin
    words = f"{'shown' if equivalent else 'not shown'} to be within {points(margin)} (p = "
    assert said.sentence.startswith("no difference found: ")
    assert words in said.sentence
    assert ("not shown" in said.sentence) is not equivalent


def test_equivalence_is_corrected_over_all_pairs() -> None:
    random = np.random.default_rng(0)
    base = random.random(2000) < 0.8
    tables = [base ^ (random.random(2000) < 0.01) for _ in range(3)]
    named = [stats.Candidate(name, 1, table[None]) for name, table in zip("abc", tables, strict=True)]
    pairs = stats.contrasts([(named[0], named[1]), (named[0], named[2]), (named[1], named[2])])
    alone = [stats.equivalence(pair.result, 0.01).p for pair in pairs]
    assert [one.p_equivalence for one in statements(pairs, Terms())] == pytest.approx(stats.holm(alone))


def test_measures_are_means_over_seeds_and_confusions_sums() -> None:
    labels = np.array([0, 0, 1, 1])
    right, wrong = np.eye(2, dtype=np.float32)[labels], np.eye(2, dtype=np.float32)[1 - labels]
    found = measures(Answers(np.stack([right, wrong]), labels), ("no", "yes"))
    assert (found.f1, found.f1_of, found.mcc) == (0.5, "yes", 0.0)
    assert found.confusion == [[2, 2], [2, 2]]
    assert sorted(found.confused) == [("no", "yes", 2), ("yes", "no", 2)]
    assert sum(found.count) == 8
    assert found.accuracy == [0.5]


def test_many_classes_keep_their_worst_confusions_only() -> None:
    labels = np.arange(30)
    said = labels.copy()
    said[7] = 3
    names = [f"c{i}" for i in range(30)]
    found = measures(Answers(np.eye(30, dtype=np.float32)[said][None], labels), names)
    assert found.confusion is None
    assert found.confused == [("c7", "c3", 1)]


def test_a_budget_says_what_more_tuning_was_worth() -> None:
    found = budget([0.6, 0.8, 0.7, 0.7], 12.5)
    assert (found.trials, found.seconds) == (4, 12.5)
    assert [one.trials for one in found.best_after] == [1, 2, 3, 4]
    assert found.best_after[0].value == pytest.approx(0.7)
    assert [one.value for one in found.best_after] == sorted(one.value for one in found.best_after)
    assert all(one.low <= one.value <= one.high for one in found.best_after)


@pytest.fixture
def record() -> RunRecord:
    return make_run("lora", epochs=4)


def with_losses(record: RunRecord, *losses: float, lr: float) -> RunRecord:
    for row, loss in zip(record.curve, losses, strict=True):
        row.train_loss, row.dev_accuracy = loss, 0.7
    record.rows, record.dev_accuracy = {"train": 10, "dev": 10}, 0.7
    train = record.spec.train.model_copy(update={"lr": lr})
    record.spec = record.spec.model_copy(update={"train": train})
    return record


LR = methods.find("lora").defaults.lr


@pytest.mark.parametrize(
    ("losses", "lr", "cause"),
    [
        ((0.70, 0.60, 0.50, 0.40), LR, "more epochs are likely to do it"),
        ((0.70, 0.30, 2.00, 3.00), LR * 10, "jumps from 0.30 to 3.00: the learning rate"),
        ((0.70, 0.70, 0.69, 0.69), LR / 1000, "is too low for so few steps"),
        ((0.70, 0.70, 0.69, 0.69), LR, "different labels"),
    ],
)
def test_rows_that_were_not_learned_name_the_cause(
    losses: tuple[float, ...], lr: float, cause: str, record: RunRecord
) -> None:
    said = run._overfitted(with_losses(record, *losses, lr=lr))
    assert said.startswith("not learned: 7 of 10 rows are right after 4 epochs")
    assert cause in said


def test_rows_that_were_learned_name_the_epoch(record: RunRecord) -> None:
    record = with_losses(record, 0.7, 0.5, 0.2, 0.1, lr=LR)
    for row in record.curve[2:]:
        row.dev_accuracy = 1.0
    record.dev_accuracy = 1.0
    assert run._overfitted(record) == "learned: all 10 rows are right from epoch 3 on, so training works"


def test_the_turn_of_a_long_training_is_told(record: RunRecord) -> None:
    for row, accuracy in zip(record.curve, (0.6, 0.75, 0.72, 0.70), strict=True):
        row.dev_accuracy = accuracy
    record.best_epoch, record.dev_accuracy, record.curve[-1].train_accuracy = 2, 0.75, 0.99
    test = Score(accuracy=0.73, low=0.70, high=0.76)
    said = run._verdict(record, test, 0.62)
    assert "dev 75.0% at epoch 2 of 4, above the majority class's 62.0%" in said
    assert "5.0 points of dev were lost by epoch 4, while train went on to 99.0%" in said
    record.curve[-1].dev_accuracy = 0.75
    assert "lost" not in run._verdict(record, test, 0.62)


@pytest.mark.parametrize(("right", "told"), [(90, True), (80, True), (79, False)])
def test_a_baseline_that_scores_no_less_than_the_winner_is_told(right: int, told: bool) -> None:
    labels = np.zeros(100, np.int64)
    correct = np.arange(100) < 80
    verdict = stats.verdict([stats.Candidate("A", 1, correct[None])], majority=np.arange(100) < 30)
    logits = np.stack([np.arange(100) < right, np.arange(100) >= right], axis=1).astype(np.float32)
    said = _beside(verdict, [Baseline("TF-IDF", logits, logits, 10, 1.0)], labels)
    beside = f" On the same rows TF-IDF reaches {right:.1f}%, no less than A with 80.0%."
    assert said == (f"{beside} That is a baseline, and costs seconds." if told else "")

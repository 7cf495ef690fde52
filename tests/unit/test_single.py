"""What is said of a single run."""

from __future__ import annotations

import pytest
from made_records import make_run

from welltuned import methods, single
from welltuned.record import RunRecord, Score


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
    said = single._overfitted(with_losses(record, *losses, lr=lr))
    assert said.startswith("not learned: 7 of 10 rows are right after 4 epochs")
    assert cause in said


def test_rows_that_were_learned_name_the_epoch(record: RunRecord) -> None:
    record = with_losses(record, 0.7, 0.5, 0.2, 0.1, lr=LR)
    for row in record.curve[2:]:
        row.dev_accuracy = 1.0
    record.dev_accuracy = 1.0
    assert single._overfitted(record) == "learned: all 10 rows are right from epoch 3 on, so training works"


def test_the_turn_of_a_long_training_is_told(record: RunRecord) -> None:
    for row, accuracy in zip(record.curve, (0.6, 0.75, 0.72, 0.70), strict=True):
        row.dev_accuracy = accuracy
    record.best_epoch, record.dev_accuracy, record.curve[-1].train_accuracy = 2, 0.75, 0.99
    test = Score(accuracy=0.73, low=0.70, high=0.76)
    said = single._verdict(record, test, 0.62)
    assert "dev 75.0% at epoch 2 of 4, above the majority class's 62.0%" in said
    assert "5.0 points of dev were lost by epoch 4, while train went on to 99.0%" in said
    record.curve[-1].dev_accuracy = 0.75
    assert "lost" not in single._verdict(record, test, 0.62)

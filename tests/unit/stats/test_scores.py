"""Scores and calibration against formulas written out and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from welltuned.errors import DataError, DivergedError, UsageError
from welltuned.stats import reliability, scores

quick = settings(max_examples=25, deadline=None)


def random_case(seed, n=200, classes=2):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes)) + np.eye(classes)[labels]
    return logits, labels


def test_binary_scores_from_the_confusion_matrix():
    # 6 true positives, 3 false positives, 1 false negative, 10 true negatives.
    labels = np.repeat([1, 0, 1, 0], [6, 3, 1, 10])
    predicted = np.repeat([1, 1, 0, 0], [6, 3, 1, 10])
    found = scores(np.eye(2)[predicted], labels)
    assert found.confusion == ((10, 3), (1, 6))
    assert found.accuracy == 0.8
    assert found.f1 == pytest.approx(2 * 6 / (2 * 6 + 3 + 1))
    assert found.mcc == pytest.approx((6 * 10 - 3 * 1) / math.sqrt(9 * 7 * 13 * 11))
    assert scores(np.eye(2)[predicted], labels, positive=0).f1 == pytest.approx(2 * 10 / (2 * 10 + 3 + 1))


def test_f1_of_many_classes_is_the_mean_over_classes():
    logits, labels = random_case(0, classes=4)
    found = scores(logits, labels)
    table = np.array(found.confusion)
    each = 2 * np.diag(table) / (table.sum(0) + table.sum(1))
    assert found.f1 == pytest.approx(each.mean())
    assert table.sum() == found.n == 200
    assert found.accuracy == pytest.approx(np.trace(table) / 200)


@pytest.mark.parametrize("classes", [2, 5])
def test_log_loss_is_scikit_learns_where_probabilities_are_moderate(classes):
    logits, labels = random_case(1, classes=classes)
    assert scores(logits, labels).log_loss == pytest.approx(log_loss(labels, softmax(logits, axis=1)))


def test_log_loss_of_a_confident_error_is_not_clipped():
    assert scores(np.array([[500.0, 0.0], [500.0, 0.0]]), np.array([1, 0])).log_loss == pytest.approx(250.0)


def test_a_collapsed_model_scores_without_warnings():
    found = scores(np.tile([1.0, 0.0], (10, 1)), np.repeat([0, 1], 5))
    assert (found.accuracy, found.f1, found.mcc) == (0.5, 0.0, 0.0)
    assert found.confusion == ((5, 0), (5, 0))


def test_a_single_class_in_the_labels_scores_without_warnings():
    found = scores(np.tile([1.0, 0.0], (10, 1)), np.zeros(10, int))
    assert (found.accuracy, found.f1, found.mcc) == (1.0, 0.0, 0.0)


@given(st.integers(0, 1000), st.integers(2, 4), st.floats(-50, 50))
@quick
def test_scores_ignore_the_order_of_items_and_a_shift_of_logits(seed, classes, shift):
    logits, labels = random_case(seed, n=60, classes=classes)
    order = np.random.default_rng(seed).permutation(60)
    before, after = scores(logits, labels), scores(logits[order] + shift, labels[order])
    for name in ("accuracy", "f1", "mcc", "log_loss", "ece", "ece_adaptive"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-9)
    assert after.confusion == before.confusion


def test_calibration_error_written_out():
    confidence = np.array([0.62, 0.64, 0.91, 0.99])
    correct = np.array([True, False, True, True])
    curve = reliability(confidence, correct, bins=10)
    assert curve.count == (2, 2)
    assert curve.confidence == pytest.approx((0.63, 0.95))
    assert curve.accuracy == (0.5, 1.0)
    assert curve.error == pytest.approx(0.5 * 0.13 + 0.5 * 0.05)


@pytest.mark.parametrize(("binning", "strategy"), [("width", "uniform"), ("mass", "quantile")])
def test_the_curve_is_scikit_learns(binning, strategy):
    rng = np.random.default_rng(2)
    confidence = rng.random(500)
    correct = rng.random(500) < confidence
    share, mean = calibration_curve(correct, confidence, n_bins=15, strategy=strategy)
    curve = reliability(confidence, correct, binning=binning)
    tolerance = 1e-9 if binning == "width" else 0.05  # quantiles are cut between items, not at them
    assert curve.confidence == pytest.approx(mean, abs=tolerance)
    assert curve.accuracy == pytest.approx(share, abs=tolerance)
    assert sum(curve.count) == 500


def test_adaptive_bins_hold_equally_many_items():
    confidence = np.random.default_rng(3).random(300)
    assert set(reliability(confidence, confidence > 0.5, binning="mass").count) <= {19, 20, 21}


def test_equal_confidences_share_one_adaptive_bin():
    curve = reliability(np.full(40, 0.7), np.arange(40) < 20, binning="mass")
    assert curve.count == (40,)
    assert curve.error == pytest.approx(0.2)


def test_an_honest_model_is_calibrated_and_a_boastful_one_is_not():
    rng = np.random.default_rng(4)
    logits = rng.normal(size=(20000, 2)) * 2
    labels = (rng.random(20000) < softmax(logits, axis=1)[:, 1]).astype(int)
    assert scores(logits, labels).ece < 0.015
    assert scores(logits * 4, labels).ece > 0.08


@pytest.mark.parametrize(
    ("logits", "labels", "error"),
    [
        (np.zeros((3, 1)), np.zeros(3, int), DataError),
        (np.zeros((3, 2)), np.zeros(4, int), DataError),
        (np.zeros((0, 2)), np.zeros(0, int), DataError),
        (np.zeros((3, 2)), np.array([0, 1, 2]), DataError),
        (np.full((3, 2), np.nan), np.zeros(3, int), DivergedError),
    ],
)
def test_bad_inputs_are_refused(logits, labels, error):
    with pytest.raises(error):
        scores(logits, labels)


def test_bad_choices_are_refused():
    logits, labels = random_case(5)
    with pytest.raises(UsageError):
        scores(logits, labels, positive=2)
    with pytest.raises(UsageError):
        scores(logits, labels, bins=0)

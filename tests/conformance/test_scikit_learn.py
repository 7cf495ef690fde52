"""scikit-learn's own checks of an estimator.

Its checks make their rows of numbers, and this estimator reads text; so those that need a fit on such rows cannot
apply. They are named here, each with its reason, and expected to fail: one that passes fails this suite. What they look
for is looked for on texts in tests/unit/python.
"""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from welltuned import Classifier

NUMBERS = "it is fitted on numbers, and Classifier refuses what is not text"
ONE_COLUMN = "it takes one column of numbers for texts, and then indexes it as if it were two-dimensional"
CANNOT_APPLY = {
    "check_fit_score_takes_y": NUMBERS,
    "check_estimators_overwrite_params": NUMBERS,
    "check_dont_overwrite_parameters": ONE_COLUMN,
    "check_estimators_fit_returns_self": NUMBERS,
    "check_readonly_memmap_input": NUMBERS,
    "check_n_features_in_after_fitting": NUMBERS,
    "check_positive_only_tag_during_fit": NUMBERS,
    "check_estimators_dtypes": NUMBERS,
    "check_dtype_object": NUMBERS,
    "check_estimators_empty_data_messages": NUMBERS,
    "check_pipeline_consistency": NUMBERS,
    "check_estimators_nan_inf": NUMBERS,
    "check_estimator_sparse_array": "it makes a sparse array of one dimension, which scipy cannot convert",
    "check_estimators_pickle": "a fitted model is kept by save(), as safetensors and JSON, and never pickled",
    "check_f_contiguous_array_estimator": ONE_COLUMN,
    "check_classifier_data_not_an_array": NUMBERS,
    "check_classifiers_classes": NUMBERS,
    "check_classifiers_train": NUMBERS,
    "check_supervised_y_2d": NUMBERS,
    "check_methods_sample_order_invariance": ONE_COLUMN,
    "check_methods_subset_invariance": ONE_COLUMN,
    "check_fit2d_1sample": ONE_COLUMN,
    "check_fit2d_1feature": ONE_COLUMN,
    "check_dict_unchanged": ONE_COLUMN,
    "check_fit_idempotent": NUMBERS,
    "check_fit_check_is_fitted": NUMBERS,
    "check_n_features_in": NUMBERS,
    "check_fit2d_predict1d": ONE_COLUMN,
}


@parametrize_with_checks([Classifier()], expected_failed_checks=lambda _: CANNOT_APPLY, xfail_strict=True)
def test_a_check_of_scikit_learn(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        check(estimator)


def test_every_expected_failure_is_a_check_and_enough_is_left() -> None:
    names = [check.func.__name__ for _, check in estimator_checks_generator(Classifier())]
    assert set(CANNOT_APPLY) <= set(names)
    assert len(set(names) - set(CANNOT_APPLY)) > 20


def test_the_tags_say_text() -> None:
    tags = Classifier().__sklearn_tags__()
    assert tags.input_tags.string
    assert tags.input_tags.one_d_array
    assert tags.estimator_type == "classifier"
    assert tags.target_tags.required

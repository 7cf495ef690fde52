"""The estimator on a tiny model: scikit-learn's conventions on texts, and the records underneath."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from welltuned import Classifier
from welltuned.errors import DataError, UsageError, WelltunedError
from welltuned.predicting import Predictor
from welltuned.record import read_run

WORDS = {True: "red sun tall", False: "blue moon small"}
TEXTS = [f"{WORDS[i % 3 > 0]} {'abcdefghijklmnopqrstuvwxyz'[i % 26]} {['king', 'queen'][i // 26]}" for i in range(40)]
TRUTH = [i % 3 > 0 for i in range(40)]
PAIRS = [("is it", text) for text in TEXTS]
YES = ["yes" if truth else "no" for truth in TRUTH]

Make = Callable[..., Classifier]


@pytest.fixture(scope="module")
def make(model_folder: Callable[[str], Path]) -> Make:
    def made(**parameters: Any) -> Classifier:
        usual = {"method": "head", "max_length": 24, "epochs": 1, "batch_size": 8, "precision": "fp32", "lr": 0.05}
        return Classifier(model=str(model_folder("bert")), **{**usual, **parameters})

    return made


@pytest.fixture(scope="module")
def fitted(make: Make) -> Classifier:
    return make(epochs=30).fit(PAIRS, YES)


def test_it_learns_and_answers_in_the_classes_of_y(fitted: Classifier) -> None:
    assert fitted.classes_.tolist() == ["no", "yes"]
    assert fitted.score(PAIRS, YES) > 0.8
    shares = fitted.predict_proba(PAIRS)
    assert shares.shape == (40, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert (fitted.predict(PAIRS) == fitted.classes_[shares.argmax(axis=1)]).all()


def test_rows_are_answered_one_by_one_as_all_at_once(fitted: Classifier) -> None:
    shares = fitted.predict_proba(PAIRS)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_allclose(fitted.predict_proba([PAIRS[i] for i in order]), shares[order], atol=1e-6)
    np.testing.assert_allclose(np.vstack([fitted.predict_proba([pair]) for pair in PAIRS[:5]]), shares[:5], atol=1e-6)
    assert fitted.predict([]).shape == (0,)
    assert fitted.predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize(
    "labels",
    [
        TRUTH,
        np.array(TRUTH),
        [int(one) for one in TRUTH],
        [1 if one else -1 for one in TRUTH],
        np.array([5 if one else 12 for one in TRUTH], dtype=np.int32),
        [float(one) for one in TRUTH],
        ["Yes" if one else "no" for one in TRUTH],
        np.array(["true" if one else "False" for one in TRUTH], dtype=object),
        pd.Series(["böse" if one else "gut" for one in TRUTH], index=range(40, 0, -1)),
    ],
    ids=["bools", "bool array", "0 and 1", "-1 and 1", "int32", "floats", "Yes and no", "truth in words", "series"],
)
def test_labels_of_any_kind_come_back_as_they_were(labels: Any, make: Make, tmp_path: Path) -> None:
    one = make(epochs=20).fit(TEXTS, labels)
    assert one.classes_.tolist() == sorted(set(np.asarray(labels).tolist()))
    assert one.classes_.dtype == np.unique(np.asarray(labels)).dtype
    assert one.score(TEXTS, labels) > 0.8, "columns of probabilities and classes belong together"
    again = Classifier.load(one.save(tmp_path / "kept"))
    assert again.classes_.tolist() == one.classes_.tolist()
    assert again.predict(TEXTS).tolist() == one.predict(TEXTS).tolist()


def test_the_record_underneath(fitted: Classifier) -> None:
    record = read_run(fitted.folder_)
    assert record == fitted.record_
    assert record.spec.data.source.startswith("memory:")
    assert record.rows == {"train": 36, "dev": 4}
    assert record.labels == ["no", "yes"]
    assert "test.logits" not in (fitted.folder_ / "predictions.safetensors").read_bytes()[:500].decode("latin-1")
    answers = Predictor(fitted.folder_).answers([a for a, _ in PAIRS], [b for _, b in PAIRS])
    assert [one.label for one in answers] == fitted.predict(PAIRS).tolist()


def test_no_text_stands_in_train_and_dev(make: Make) -> None:
    from welltuned.data import load_dataset, memory
    from welltuned.python.rows import read
    from welltuned.spec import DataSpec

    given = read(TEXTS * 2)
    tables = {"train": given.table("X", [int(one) for one in TRUTH * 2], ["a", "b"])}
    spec = DataSpec(**given.columns_of(memory.address(tables)))
    dataset = load_dataset(spec, memory.source(tables, test=False))
    assert set(dataset.train.text).isdisjoint(dataset.dev.text)
    assert len(dataset.test) == 0
    with pytest.raises(DataError, match="these rows are not on this disk"):
        load_dataset(spec)


def test_dev_may_be_given(make: Make) -> None:
    one = make().fit(PAIRS[:30], YES[:30], dev=(PAIRS[30:], YES[30:]))
    assert one.record_.rows == {"train": 30, "dev": 10}
    with pytest.raises(ValueError, match="'maybe' occurs in dev but not in y"):
        make().fit(PAIRS, YES, dev=(PAIRS[:2], ["yes", "maybe"]))
    with pytest.raises(ValueError, match="1 texts a row where X has 2"):
        make().fit(PAIRS, YES, dev=(TEXTS[:2], ["yes", "no"]))


def test_frames_and_datasets(make: Make) -> None:
    frame = pd.DataFrame(PAIRS, columns=["question", "passage"], index=range(100, 140))
    one = make().fit(frame, YES)
    assert one.feature_names_in_.tolist() == ["question", "passage"]
    assert one.n_features_in_ == 2
    assert one.record_.columns == {"text": "question", "text_pair": "passage", "label": "label"}
    with pytest.raises(ValueError, match="feature names"):
        one.predict(frame.rename(columns={"passage": "context"}))
    with pytest.raises(ValueError, match="X has 1 features, but Classifier is expecting 2"):
        one.predict(TEXTS)
    whole = datasets.Dataset.from_dict({"id": list(range(40)), "text": TEXTS, "label": [int(t) for t in TRUTH]})
    two = make().fit(whole, dev=whole.select(range(10)))
    assert two.score(whole) == two.score(TEXTS, whole["label"])
    assert two.n_features_in_ == 1


def test_parameters_stay_untouched_and_clones_are_unfitted(fitted: Classifier, make: Make) -> None:
    before = fitted.get_params()
    copy = clone(fitted)
    assert copy.get_params() == before
    with pytest.raises(NotFittedError):
        copy.predict(PAIRS)
    with pytest.raises(NotFittedError):
        check_is_fitted(copy)
    check_is_fitted(fitted)
    assert copy.set_params(method="full", lr=None).method == "full"


def test_equal_fits_are_equal_and_a_folder_keeps_them(make: Make, tmp_path: Path) -> None:
    first = make(folder=tmp_path).fit(PAIRS, YES)
    made = (first.folder_ / "record.json").stat().st_mtime_ns
    second = make(folder=tmp_path).fit(PAIRS, YES)
    assert second.folder_ == first.folder_
    assert (second.folder_ / "record.json").stat().st_mtime_ns == made, "what is finished is read"
    third = make().fit(PAIRS, YES)
    assert (third.predict_proba(PAIRS) == first.predict_proba(PAIRS)).all()
    other = make(folder=tmp_path, random_state=np.random.RandomState(3)).fit(PAIRS, YES)
    assert other.folder_ != first.folder_


def test_a_temporary_folder_goes_with_its_classifier(make: Make) -> None:
    one = make().fit(TEXTS, YES)
    first = one.folder_.parent
    assert first.is_dir()
    one.fit(TEXTS, TRUTH)
    second = one.folder_.parent
    assert not first.exists()
    del one
    gc.collect()
    assert not second.exists()


def test_pickling_is_for_the_unfitted_alone(fitted: Classifier, make: Make) -> None:
    copy = pickle.loads(pickle.dumps(make(method="lora", random_state=3)))
    assert copy.get_params() == make(method="lora", random_state=3).get_params()
    with pytest.raises(TypeError, match=r"use save\(\)"):
        pickle.dumps(fitted)


def test_saving_keeps_everything_and_no_pickle(fitted: Classifier, tmp_path: Path) -> None:
    kept = fitted.save(tmp_path / "kept")
    assert not [path for path in kept.rglob("*") if path.suffix in {".pkl", ".bin", ".pt", ".joblib"}]
    again = Classifier.load(kept)
    assert (again.predict_proba(PAIRS) == fitted.predict_proba(PAIRS)).all()
    assert {**again.get_params(), "folder": None} == {**fitted.get_params(), "folder": None}
    assert again.record_ == fitted.record_
    assert again.n_features_in_ == 2
    fitted.save(kept)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("keep me")
    with pytest.raises(UsageError, match="holds something else"):
        fitted.save(tmp_path / "other")
    (kept / "classifier.json").write_text("{}")
    with pytest.raises(ValueError, match=r"classifier.json is damaged"):
        Classifier.load(kept)


def test_a_run_of_the_command_line_is_opened_too(fitted: Classifier, tmp_path: Path) -> None:
    kept = fitted.save(tmp_path / "kept")
    (kept / "classifier.json").unlink()
    one = Classifier.load(kept)
    assert one.classes_.tolist() == ["no", "yes"]
    assert one.predict(PAIRS).tolist() == fitted.predict(PAIRS).tolist()
    assert one.method == "head"
    assert one.get_params()["lr"] == 0.05


def test_in_a_pipeline_a_grid_and_cross_validation(make: Make) -> None:
    lower = FunctionTransformer(lambda rows: [row.lower() for row in rows])
    pipe = make_pipeline(lower, make()).fit([text.upper() for text in TEXTS], YES)
    assert set(pipe.predict(TEXTS)) <= {"no", "yes"}
    grid = GridSearchCV(make(), {"lr": [1e-3, 0.05], "epochs": [1, 15]}, cv=2).fit(np.array(TEXTS, dtype=object), YES)
    assert grid.best_params_ == {"epochs": 15, "lr": 0.05}
    assert grid.score(TEXTS, YES) > 0.8
    scores = cross_val_score(make(epochs=15), PAIRS, YES, cv=2, scoring="roc_auc")
    assert scores.shape == (2,)
    assert scores.min() > 0.7


@pytest.mark.slow
def test_a_grid_in_other_processes(make: Make) -> None:
    grid = GridSearchCV(make(), {"epochs": [1, 15]}, cv=2, n_jobs=2).fit(TEXTS, YES)
    assert grid.best_params_ == {"epochs": 15}


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"method": "lora:rank=0"}, "lora"),
        ({"method": "nothing"}, "there is no method"),
        ({"lr": -1}, "lr: -1 is no lr"),
        ({"max_length": 3}, "max_length: 3 cannot be used here"),
        ({"head": "tail"}, "head: 'tail' cannot be used here"),
        ({"random_state": "x"}, "cannot be used to seed"),
        ({"random_state": -1}, "random_state: -1 is no seed"),
        ({"split_seed": -1}, "split_seed: -1 cannot be used here"),
        ({"method": None}, "method: None is no name"),
        ({"head": None}, "head: None cannot be used here"),
        ({"folder": 3}, "folder: 3 is no folder"),
        ({"device": "tpu"}, "device: 'tpu' cannot be used here"),
        ({"lr": float("nan")}, "lr: nan is no lr"),
        ({"max_length": 10**6}, "max_length: rows of 1000000 tokens"),
    ],
)
def test_parameters_are_refused_at_fit_by_their_names(parameters: dict[str, Any], said: str, make: Make) -> None:
    with pytest.raises(ValueError, match=said) as error:
        make(**parameters).fit(TEXTS, YES)
    whole(error.value)


def whole(error: Exception) -> None:
    """It says what, where, why and how to mend it."""
    assert isinstance(error, WelltunedError)
    assert all((error.what, error.where, error.why, error.mend)), error.message


@pytest.mark.parametrize(
    ("texts", "labels", "said"),
    [
        (TEXTS, None, "requires y to be passed, but the target y is None"),
        (TEXTS, YES[:5], "5 labels for 40 rows"),
        (TEXTS, ["yes"] * 40, "with one class there is nothing to learn"),
        (TEXTS, [None, *YES[1:]], r"y\[0\]: this label is NaN or None"),
        (TEXTS, np.linspace(0, 1, 40), "Unknown label type: continuous"),
        (TEXTS[:4], YES[:4], "too few to cut a dev split"),
        (["", *TEXTS[1:]], YES, "column 'text' is empty in 1 of 40 rows"),
        ([None, *TEXTS[1:]], YES, r"X\[0\]: None is a missing value, not text"),
        (list(range(40)), YES, r"X\[0\]: 0 is of type int, not text"),
        (np.arange(40.0), YES, "X: an array of float64 holds no texts"),
        (set(TEXTS), YES, "X: a set is not rows of text"),
        (np.array("a"), YES, "X: a ndarray is not rows of text"),
        (pd.DataFrame([("a", "b")] * 40, columns=["q", "q"]), YES, "X: two columns are called 'q'"),
        ([], [], "X: there are no rows"),
        (TEXTS, [float("nan"), *YES[1:]], r"y\[0\]: this label is NaN or None"),
        (TEXTS, [float("nan"), *TRUTH[1:]], r"y\[0\]: this label is NaN or None"),
        (TEXTS, [float("inf"), *TRUTH[1:]], "y: Input y contains infinity"),
        (TEXTS, ["a", 1] * 20, r"y\[0\]: a label is a word where others are numbers"),
        (TEXTS, [1] * 40, "y: every label is 1"),
        (TEXTS, np.zeros((40, 2)), "y: y should be a 1d array"),
        (TEXTS, 3, "y: a int is not labels"),
        (TEXTS, "yes", "y: a str is not labels"),
        (TEXTS, {"yes": 1}, "y: a dict is not labels"),
    ],
)
def test_rows_and_labels_are_refused_as_value_errors(texts: Any, labels: Any, said: str, make: Make) -> None:
    with pytest.raises(ValueError, match=said) as error:
        make().fit(texts, labels)
    whole(error.value)


@pytest.mark.parametrize(
    ("dev", "said"),
    [
        (3, "dev: a int is not rows of text"),
        ((TEXTS, YES[:3]), "dev: 3 labels for 40 rows"),
        (([], []), "dev: there are no rows"),
        ((TEXTS, ["perhaps"] * 40), "dev: the label 'perhaps' occurs in dev but not in y"),
        ((PAIRS, YES), "dev: 2 texts a row where X has 1"),
    ],
)
def test_dev_that_does_not_fit_is_refused(dev: Any, said: str, make: Make) -> None:
    with pytest.raises(ValueError, match=said) as error:
        make().fit(TEXTS, YES, dev=dev)
    whole(error.value)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda one: one.predict(None), "X: a NoneType is not rows of text"),
        (lambda one: one.predict("a"), "X: a str is not rows of text"),
        (lambda one: one.predict([("a", None)]), r"X\[0\]: None is a missing value"),
        (lambda one: one.predict([("a", 1)]), r"X\[0\]: 1 is of type int"),
        (lambda one: one.predict(["a"]), "X has 1 features"),
        (lambda one: one.predict([("a", "b"), ("c",)]), r"X\[1\]: this row is"),
        (lambda one: one.score(PAIRS, YES[:3]), "3 labels for 40 rows"),
        (lambda one: one.score([], []), "X: there are no rows"),
        (lambda one: one.save(None), "folder: None is no folder"),
        (lambda _: Classifier.load(3), "folder: 3 is no folder"),
        (lambda _: Classifier.load("nothing/here"), "there is no such folder"),
    ],
)
def test_what_a_fitted_one_cannot_do_is_told(asked: Callable[[Classifier], Any], said: str, fitted: Classifier) -> None:
    with pytest.raises(ValueError, match=said) as error:
        asked(fitted)
    whole(error.value)


def test_halves_of_surrogate_pairs_are_read_as_in_training(fitted: Classifier) -> None:
    asked, repaired = [("is it", "red \ud800 sun")], [("is it", "red \ufffd sun")]
    np.testing.assert_array_equal(fitted.predict_proba(asked), fitted.predict_proba(repaired))


def test_a_column_of_labels_is_flattened_with_a_warning(make: Make) -> None:
    with pytest.warns(DataConversionWarning):
        make().fit(TEXTS, np.array(YES).reshape(-1, 1))


def test_a_notebook_shows_it(fitted: Classifier, make: Make) -> None:
    shown = fitted._repr_html_()
    assert "accuracy on dev at epoch" in shown
    assert "<script" not in shown
    assert '<td class="text">&#x27;head&#x27;</td>' in make()._repr_html_()
    assert "all parameters as by default" in Classifier()._repr_html_()
    assert fitted._repr_mimebundle_()["text/html"] == shown

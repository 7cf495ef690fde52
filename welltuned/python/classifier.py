"""An estimator for text by scikit-learn's conventions, over the same runs and records as the command line."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from welltuned.data import memory
from welltuned.data.columns import repaired
from welltuned.data.labels import called_here
from welltuned.engine import settle
from welltuned.plan import candidate
from welltuned.predicting import Predictor, run_folder
from welltuned.progress import Observer
from welltuned.python import html, rows, saved
from welltuned.python.errors import InputError, ParameterError, place, told_in_python, word
from welltuned.python.spoken import Spoken
from welltuned.record import RunRecord, read_run
from welltuned.run import run
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.workbench import Workbench

LABELS = "a list, array or Series with a string, whole number or boolean for each row"


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fine-tunes an encoder on texts, or pairs of texts, and classifies others.

    Args:
        method: ``NAME[:FIELD=VALUE]...``, such as "lora:rank=16"; ``welltuned methods`` lists them.
        model: alias, Hub id or folder; "minilm" is packaged.
        head: "mean" or "first": one linear layer over the masked mean or the first token; "native": the model's own.
        max_length: tokens a row at most.
        lr, epochs: the method's own where None.
        batch_size, eval_batch_size: rows a step, and rows a forward pass.
        weight_decay, warmup_ratio, schedule, max_grad_norm, patience: as the options of ``welltuned train``.
        random_state: decides initialisation, order and dropout; a whole number for equal results.
        split_seed: decides which rows are kept for dev where none are given.
        precision, engine, device: as the options of ``welltuned train``.
        folder: keeps the folder of each run below it, where the same fit finds it again; else it is temporary.
        verbose: say on stderr what goes on.

    Attributes:
        classes_: [C] the classes, in their own type and sorted.
        record_: what happened (:class:`~welltuned.record.RunRecord`): curve, ledger, memory, alarms, provenance.
        folder_: the run's folder, as ``welltuned train`` leaves it but without test rows.
        n_features_in_: 1 for texts, 2 for pairs; ``feature_names_in_`` are the columns' names where they have some.
    """

    TRAINING = (
        "lr", "epochs", "batch_size", "eval_batch_size", "weight_decay", "warmup_ratio", "schedule", "max_grad_norm",
        "patience",
    )  # fmt: skip
    """The parameters that are options of training."""

    def __init__(
        self,
        method: str = "full",
        *,
        model: str = "minilm",
        head: str = "mean",
        max_length: int = 256,
        lr: float | None = None,
        epochs: int | None = None,
        batch_size: int = 32,
        eval_batch_size: int = 64,
        weight_decay: float = 0.01,
        warmup_ratio: float = 0.06,
        schedule: str = "linear",
        max_grad_norm: float = 1.0,
        patience: int | None = None,
        random_state: Any = 0,
        split_seed: int = 0,
        precision: str = "auto",
        engine: str = "fast",
        device: str = "auto",
        folder: Any = None,
        verbose: bool = False,
    ) -> None:
        self.method = method
        self.model = model
        self.head = head
        self.max_length = max_length
        self.lr = lr
        self.epochs = epochs
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.weight_decay = weight_decay
        self.warmup_ratio = warmup_ratio
        self.schedule = schedule
        self.max_grad_norm = max_grad_norm
        self.patience = patience
        self.random_state = random_state
        self.split_seed = split_seed
        self.precision = precision
        self.engine = engine
        self.device = device
        self.folder = folder
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, dev: Any = None) -> Self:  # noqa: N803
        """Train, keeping the epoch that is best on dev.

        Args:
            X: [N] texts, [N] pairs of texts, a Series, a DataFrame or Dataset with one or two text columns.
            y: [N] labels: strings, whole numbers or booleans. A Dataset may hold them itself, under a usual name.
            dev: (X, y) to choose the epoch by, or a Dataset with labels; a tenth of the rows where None, cut so that
                no passage stands on both sides.

        Raises:
            InputError, ParameterError: also ``ValueError``; rows, labels or a parameter cannot be used.
            WelltunedError: of the kind that fits what went wrong in training.
        """
        with told_in_python():
            y = None if y is None and rows.is_dataset(X) else _two_or_more(targets(y))
            given = rows.read(X)
            labels = labels_of(given, y, "X")
            validate_data(self, given.array(), skip_check_array=True)
            self.classes_, indices = np.unique(labels, return_inverse=True)
            self._names, self._named = given.names, given.named
            tables = {"train": given.table("X", indices.tolist(), self._class_names())}
            if dev is not None:
                tables["dev"] = self._dev(dev)
            source = memory.address(tables)
            bench = Workbench(
                Spoken() if self.verbose else Observer(), held={source: memory.source(tables, test=False)}
            )
            spec = self._spec(source, given)
            self.folder_ = self._place() / spec.name
            with bench.alone(self.folder_):
                self.record_: RunRecord = run(spec, self.folder_, bench)
            self._predictor = Predictor(self.folder_)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """[N, C] the probability of each of ``classes_``, for rows like those of :meth:`fit`.

        Raises:
            NotFittedError: there was no fit yet.
            InputError: rows of another form than those of the fit.
        """
        check_is_fitted(self)
        given = rows.read(X, wanted=self._names if self._named else None)
        if not len(given):
            return np.empty((0, len(self.classes_)), np.float32)
        self._require_like_fit(given)
        texts, *pairs = ([repaired(text) for text in column] for column in given.columns)
        answers = self._predictor.answers(texts, pairs[0] if pairs else None, self.eval_batch_size)
        called = called_here(self._class_names())
        return np.array([[one.probabilities[name] for name in called] for one in answers], np.float32)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """[N] the most probable of ``classes_``; errors as :meth:`predict_proba`."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy on these rows; the labels of a Dataset may be its own."""
        check_is_fitted(self)
        given = rows.read(X, wanted=None if y is None or not self._named else self._names)
        truth = labels_of(given, y, "X")
        return float(accuracy_score(truth, self.predict(X), sample_weight=sample_weight))

    def save(self, folder: Any) -> Path:
        """Keep the run's folder, the model in it, as JSON and safetensors; :meth:`load` and the commands read it.

        Raises:
            ParameterError: the folder holds something else.
            ResourceError: it cannot be written.
        """
        check_is_fitted(self)
        parameters = {**self.get_params(deep=False), "folder": None, "random_state": self.record_.spec.train.seed}
        with told_in_python():
            target = place(folder, "folder")
            saved.save(self.folder_, target, saved.told(self.classes_, parameters, self._names, self._named))
        return target

    @classmethod
    def load(cls, folder: Any) -> Self:
        """The classifier that :meth:`save` kept, or one of the run that a command left (of a comparison its winner).

        Raises:
            InputError: there is no finished run, or it is damaged.
        """
        with told_in_python():
            found = run_folder(place(folder, "folder"))
            record, kept = read_run(found), saved.read(found)
            one = cls(**(_parameters(record) if kept is None else kept.parameters))
            names = [name for name in (record.columns.get("text"), record.columns.get("text_pair")) if name]
            one._names = tuple(names) if kept is None else tuple(kept.names)
            one._named = kept is None or kept.named
            one.classes_ = np.array(record.labels) if kept is None else kept.known()
            one.record_, one.folder_ = record, found
            one.n_features_in_ = len(one._names)
            if kept is not None and kept.named:
                one.feature_names_in_ = np.array(one._names, dtype=object)
            one._predictor = Predictor(found)
        return one

    def _require_like_fit(self, given: rows.Rows) -> None:
        """As many texts a row as in the fit, under the same names where both have some."""
        if len(given.columns) != self.n_features_in_:
            expected = f"Classifier is expecting {self.n_features_in_} features as input"
            raise InputError(
                f"X has {len(given.columns)} features, but {expected}",
                where="X",
                why="the model was trained on rows of that form",
                mend="give as many texts a row as in fit",
            )
        if given.named and self._named:
            validate_data(self, given.array(), skip_check_array=True, reset=False)

    def _class_names(self) -> list[str]:
        return [str(one) for one in self.classes_.tolist()]

    def _dev(self, dev: Any) -> Any:
        x, y = dev if isinstance(dev, tuple) and len(dev) == 2 else (dev, None)
        given = rows.read(x, "dev", self._names if self._named and y is not None else None)
        labels = labels_of(given, y, "dev")
        if given.columns and len(given.columns) != len(self._names):
            raise InputError(
                f"{len(given.columns)} texts a row where X has {len(self._names)}",
                where="dev",
                why="dev is read by the model that is trained on X",
                mend="give as many texts a row as in X",
            )
        known = {one: at for at, one in enumerate(self.classes_.tolist())}
        if strange := [one for one in labels.tolist() if one not in known]:
            raise InputError(
                f"the label {strange[0]!r} occurs in dev but not in y",
                where="dev",
                why="a class that is not trained is never answered",
                mend="add rows of this class to X, or leave them out of dev",
            )
        indices = [known[one] for one in labels.tolist()]
        same = rows.Rows(self._names, given.columns, self._named)
        return same.table("dev", indices, self._class_names())

    def _spec(self, source: str, given: rows.Rows) -> RunSpec:
        data = DataSpec(**given.columns_of(source), split_seed=self.split_seed)
        model = ModelSpec(name=word(self.model, "model"), head=self.head, max_length=self.max_length)  # type: ignore[arg-type]
        compute = ComputeSpec(precision=self.precision, engine=self.engine, device=self.device)  # type: ignore[arg-type]
        options = {name: getattr(self, name) for name in self.TRAINING}
        return candidate(word(self.method, "method"), options).run(data, model, self._seed(), settle(compute))

    def _seed(self) -> int:
        seed = self.random_state
        if isinstance(seed, int | np.integer) and seed >= 0:
            return int(seed)
        try:
            return int(check_random_state(seed).randint(2**31 - 1))
        except ValueError as error:
            raise ParameterError(
                f"{seed!r:.60} is no seed", where="random_state", why=str(error), mend="give a whole number from 0 on"
            ) from error

    def _place(self) -> Path:
        """Where runs are kept; a temporary folder goes with this object."""
        if self.folder is not None:
            return place(self.folder, "folder")
        if "_forget" in vars(self):
            vars(self)["_forget"]()
        made = tempfile.mkdtemp(prefix="welltuned-")
        self._forget = weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return Path(made)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_predictor")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = True
        return tags

    def __getstate__(self) -> Any:
        if self.__sklearn_is_fitted__():
            raise TypeError("a fitted Classifier is not pickled, for a pickle runs code when it is opened: use save()")
        kept = {"_sklearn_version", *self.get_params(deep=False)}
        return {name: value for name, value in super().__getstate__().items() if name in kept}

    def _html_repr(self) -> str:
        if not self.__sklearn_is_fitted__():
            return html.of_parameters(self)
        return html.of_record(self.record_, f"{self.record_.spec.method.name} on {self.record_.spec.model.name}")


def targets(y: Any) -> NDArray[Any]:
    """[N] labels as an array.

    Raises:
        InputError: there are none, one is missing, or all are the same.
        ValueError: they are no classes.
    """
    if y is None:
        raise InputError(
            "Classifier requires y to be passed, but the target y is None",
            where="y",
            why="it learns from rows whose labels are known",
            mend="give a label for each row",
        )
    if isinstance(y, str | bytes | Mapping | Set) or getattr(y, "ndim", 1) == 0 or not isinstance(y, Iterable):
        raise InputError(
            f"a {type(y).__name__} is not labels", where="y", why="each row has one label", mend=f"give {LABELS}"
        )
    given = y if hasattr(y, "__array__") else list(y)
    _require_one_kind(given)
    try:
        values = column_or_1d(np.asarray(given), warn=True)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("Input y contains infinity or a value too large for a class")  # noqa: TRY301
        check_classification_targets(values)
    except ValueError as error:
        raise InputError(str(error), where="y", why="each row has one label of few", mend=f"give {LABELS}") from error
    return np.asarray(values)


def _require_one_kind(labels: Any) -> None:
    """Refuse missing labels, and words beside numbers, before an array makes words of them all."""
    listed = labels
    if hasattr(labels, "__array__"):
        array = np.asarray(labels)
        listed = array.tolist() if array.ndim == 1 else array.ravel().tolist() if array.shape[1:] == (1,) else []
    first: dict[bool, int] = {}
    for i, one in enumerate(listed):
        if rows.is_missing(one):
            why = "a row without a label teaches nothing"
            raise InputError("this label is NaN or None", where=f"y[{i}]", why=why, mend="remove such rows")
        first.setdefault(isinstance(one, str), i)
    if len(first) > 1:
        raise InputError(
            "a label is a word where others are numbers",
            where=f"y[{first[True]}]",
            why=f"y[{first[False]}] is a number, so that 1 and '1' could be meant as one class or as two",
            mend="write all labels in one way",
        )


def _two_or_more(labels: NDArray[Any]) -> NDArray[Any]:
    if len(np.unique(labels)) == 1:
        raise InputError(
            f"every label is {labels[:1].tolist()[0]!r}",
            where="y",
            why="with one class there is nothing to learn",
            mend="add rows of another class",
        )
    return labels


def labels_of(given: rows.Rows, y: Any, what: str) -> NDArray[Any]:
    """[N] the labels of some rows: those of ``y``, or where it is None those that the rows brought along.

    Raises:
        InputError: there are none, or not as many as rows; else as :func:`targets`.
    """
    values = targets(given.labels if y is None else y)
    if len(values) != len(given):
        raise InputError(
            f"{len(values)} labels for {len(given)} rows",
            where=what,
            why="each row has one label",
            mend="give a label for each row",
        )
    if not len(given):
        raise InputError(
            "there are no rows", where=what, why="nothing can be learned or told from none", mend="give at least 10"
        )
    return values


def _parameters(record: RunRecord) -> dict[str, Any]:
    """The parameters with which a classifier would do the same run."""
    spec = record.spec
    fields = "".join(f":{name}={_written(value)}" for name, value in spec.method.config.items() if value is not None)
    return {
        "method": spec.method.name + fields,
        "model": spec.model.name,
        "head": spec.model.head,
        "max_length": spec.model.max_length,
        **{name: getattr(spec.train, name) for name in Classifier.TRAINING},
        "random_state": spec.train.seed,
        "split_seed": spec.data.split_seed,
        **spec.compute.model_dump(),
    }


def _written(value: Any) -> str:
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

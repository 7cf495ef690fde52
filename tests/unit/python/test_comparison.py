from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from families import write_examples
from matplotlib.figure import Figure

from welltuned import Compared, compare
from welltuned.errors import WelltunedError
from welltuned.python.errors import ParameterError
from welltuned.record import read_comparison

SHORT: dict[str, Any] = {"max_length": 40, "epochs": 1, "batch_size": 8, "precision": "fp32", "verbose": False}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, model_folder: Callable[[str], Path]) -> Compared:
    data = write_examples(tmp_path_factory.mktemp("rows"), {"train": 40, "dev": 16, "test": 12})
    out = tmp_path_factory.mktemp("out")
    return compare(data, methods=["head", "lora:rank=2"], models=str(model_folder("bert")), folder=out, **SHORT)


def test_the_table_is_that_of_the_record(found: Compared) -> None:
    record = read_comparison(found.folder)
    assert found.record == record
    assert found.verdict == record.verdict
    assert found.table.index.tolist() == [row.name for row in record.table]
    assert found.table.loc["head", "trained_parameters"] == record.table[0].trained_parameters
    scored = [row.test.accuracy for row in record.table if row.test]
    assert found.table["test"].tolist() == scored
    assert found.statements["sentence"].tolist() == [one.sentence for one in record.statements]
    assert (found.folder / "report.html").is_file()


def test_it_is_drawn_and_shown(found: Compared) -> None:
    assert isinstance(found.plot(), Figure)
    assert isinstance(found.plot("curves"), Figure)
    with pytest.raises(ValueError, match="there is no figure 'nothing'"):
        found.plot("nothing")
    shown = found._repr_html_()
    assert "lora:rank=2" in shown
    assert "<script" not in shown
    assert found.verdict in repr(found)


def test_its_models_answer(found: Compared) -> None:
    one = found.classifier("head")
    assert one.record_.spec.method.name == "head"
    assert set(one.predict([("is it", "the moon")])) <= {"no", "yes"}
    with pytest.raises(ValueError, match="there is no model of 'majority class'"):
        found.classifier("majority class")
    with pytest.raises(ParameterError) as refused:
        found.classifier("nope")
    assert refused.value.what == "there is no model of 'nope'"
    assert refused.value.why == "no line of the table with a model is called so"
    assert refused.value.mend == "choose among head, lora:rank=2"
    with pytest.raises(ValueError, match=r"no results\.json"):
        Compared(found.folder / "runs")


def test_rows_in_memory_are_compared(tmp_path: Path, model_folder: Callable[[str], Path]) -> None:
    texts = [f"{'red sun' if i % 2 else 'blue moon'} {i}" for i in range(50)]
    frame = pd.DataFrame({"sentence": texts})
    labels = np.arange(50) % 2
    call = {"methods": "head", "models": str(model_folder("bert")), "folder": tmp_path, **SHORT}
    found = compare(frame, labels, **call)
    assert found.record.labels == ["0", "1"]
    assert sum(found.record.rows.values()) == 50
    assert found.record.test_openings == 1
    assert compare(frame, labels, **call).record == found.record, "the same call reads what is finished"
    with pytest.raises(ValueError, match="there is no parameter 'epoch'"):
        compare(frame, labels, **{**call, "epoch": 3})
    with pytest.raises(ValueError, match="a source has its own"):
        compare("builtin:yesno", labels)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seeds": []}, "seeds: no seed is named"),
        ({"seeds": [-1]}, "seeds: a seed is below 0"),
        ({"seeds": [1, 1]}, "seeds: a seed is named twice"),
        ({"seeds": 3}, "seeds: 3 is no list of whole numbers"),
        ({"seeds": [1.5]}, "seeds: .* is no list of whole numbers"),
        ({"models": []}, "models: no model is named"),
        ({"models": None}, "models: None is no list of names"),
        ({"models": ""}, "has no config.json"),
        ({"methods": []}, "methods: no method is named"),
        ({"methods": [3]}, "methods: .* is no list of names"),
        ({"methods": "head,head"}, "methods: a method is named twice"),
        ({"margin": -1}, "margin: -1 is no difference of accuracy"),
        ({"margin": float("nan")}, "margin: nan is no difference of accuracy"),
        ({"margin": "a"}, "margin: 'a' is no number"),
        ({"trials": 0}, "trials: a search takes at least one trial"),
        ({"trials": 1.5}, "trials: .* is no list of whole numbers"),
        ({"max_seconds": -1}, "max_seconds: -1.0 is no time"),
        ({"max_seconds": float("nan")}, "max_seconds: nan is no time"),
        ({"folder": 3}, "folder: 3 is no folder"),
        ({"source": 3}, "source: 3 is no dict of fields"),
        ({"source": {"label": "nope"}}, "there is no column 'nope'"),
        ({"epoch": 3}, "epoch: there is no parameter 'epoch'"),
        ({"data": 3}, "X: a int is not rows of text"),
        ({"data": ["a"] * 20}, "requires y to be passed"),
        ({"y": [0]}, "y: labels belong to rows"),
    ],
)
def test_what_cannot_be_compared_is_told(
    wrong: dict[str, Any], said: str, tmp_path: Path, model_folder: Callable[[str], Path]
) -> None:
    data = write_examples(tmp_path, {"train": 40, "dev": 16, "test": 12})
    call = {"data": data, "methods": "head", "models": str(model_folder("bert")), "folder": tmp_path / "out", **SHORT}
    with pytest.raises(ValueError, match=said) as refused:
        compare(**{**call, **wrong})
    error = refused.value
    assert isinstance(error, WelltunedError)
    assert all((error.what, error.where, error.why, error.mend)), error.message
    assert not (tmp_path / "out" / "results.json").exists()

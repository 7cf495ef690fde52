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

"""What an export is checked on, without exporting: a graph that computes something else must not get through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from welltuned import Classifier
from welltuned.batches import Batch
from welltuned.errors import UsageError, WelltunedError
from welltuned.exporting import export_onnx
from welltuned.exporting.check import Subject
from welltuned.predicting import Predictor

TEXTS = [f"{'red sun' if i % 2 else 'blue moon'} {i}" for i in range(30)]


@pytest.fixture(scope="module")
def kept(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = Classifier("head", model=str(model_folder("bert")), max_length=24, epochs=1, batch_size=8, precision="fp32")
    return one.fit(TEXTS, [i % 2 for i in range(30)]).save(tmp_path_factory.mktemp("kept") / "run")


def test_rows_in_memory_are_made_up_for_the_check(kept: Path) -> None:
    run = Predictor(kept)
    subject = Subject(run.record, run.forward, run.reader._tokenizer)
    check = subject.check(run.forward)
    assert (check.on, check.largest, check.accuracy) == ("made-up rows", 0.0, None)
    assert len(set(subject.tokens.lengths.tolist())) > 5
    pytest.importorskip("onnxscript")
    with pytest.raises(UsageError, match="the loss of accuracy by int8 cannot be measured"):
        export_onnx(kept, int8=True)


@pytest.mark.parametrize("error", [2e-4, float("nan")])
def test_a_graph_that_is_off_is_refused(error: float, kept: Path) -> None:
    run = Predictor(kept)
    subject = Subject(run.record, run.forward, run.reader._tokenizer)

    def off(batch: Batch) -> torch.Tensor:
        return run.forward(batch) + error

    with pytest.raises(WelltunedError, match="does not compute what the model computes"):
        subject.check(off)

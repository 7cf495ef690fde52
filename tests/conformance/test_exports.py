"""Every family, method and head as an ONNX graph: logits equal to torch's, for any number of rows of any length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.contract import CLASSES, LABELS, subject, take_steps, tiny_spec
from families import FAMILIES, examples

from welltuned import artifact, methods
from welltuned.batches import tokenize
from welltuned.pretrained import Pretrained

pytest.importorskip("onnxscript")
pytest.importorskip("onnxruntime")

from welltuned.exporting.graph import write_graph
from welltuned.predicting import OnnxForward, TorchForward, logits_of

QUICK = {
    ("bert", "prefix", "mean"), ("distilbert", "lora", "mean"), ("roberta", "prefix", "native"),
    ("modernbert", "prefix", "mean"), ("electra", "full", "native"), ("deberta-v2", "prefix", "mean"),
}  # fmt: skip
CELLS = [
    pytest.param(family, method, head, marks=[] if (family, method, head) in QUICK else pytest.mark.slow)
    for family in FAMILIES
    for method in methods.names()
    for head in ("mean", "native")
]


@pytest.mark.parametrize(("family", "method", "head"), CELLS)
def test_the_graph_computes_what_the_model_computes(
    family: str, method: str, head: str, tiny: Callable[[str], Pretrained], tmp_path: Path
) -> None:
    origin = tiny(family)
    one = subject(origin, tiny_spec(method), head)
    take_steps(one)
    artifact.save(tmp_path / "model", one.encoder, one.method, one.spec, origin, LABELS)
    model = artifact.load(tmp_path / "model")
    tokens = tokenize(examples(9, CLASSES, seed=5, longest=20), origin.tokenizer, 64)
    write_graph(model, tokens.has_types, tmp_path / "model.onnx")
    assert [path.name for path in tmp_path.glob("*.onnx*")] == ["model.onnx"], "one file"
    graph, expected = OnnxForward(tmp_path / "model.onnx"), TorchForward(model)
    assert ("token_type_ids" in graph.inputs) == tokens.has_types
    for batch_size in (1, 4, 9):
        found = logits_of(graph, tokens, CLASSES, batch_size)
        torch.testing.assert_close(found, logits_of(expected, tokens, CLASSES, batch_size), atol=1e-4, rtol=0)
    spread = (found.amax(dim=0) - found.amin(dim=0)).max()
    assert spread > 1e-3, "rows must differ for the comparison to mean anything"


def test_the_quick_cells_hold_every_family() -> None:
    assert {family for family, _, _ in QUICK} == set(FAMILIES)
    assert np.all([method in methods.names() for _, method, _ in QUICK])

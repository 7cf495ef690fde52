"""Saved models open in plain Transformers, in a process of their own, with the same probabilities."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conformance.contract import CLASSES, LABELS, PLAIN, subject, take_steps, tiny_spec
from families import FAMILIES, MAIN, examples

from welltuned import artifact, methods
from welltuned.answering import predict
from welltuned.batches import tokenize
from welltuned.errors import DataError, ResourceError
from welltuned.methods._base import Method
from welltuned.pretrained import Pretrained

Find = Callable[[str], Pretrained]

SCRIPT = """
import json, sys
{imports}
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
request = json.load(sys.stdin)
answers = []
for folder in request["folders"]:
    classify = transformers.pipeline("text-classification", model=folder, device="cpu", top_k=None)
    rows = classify(request["rows"], batch_size=len(request["rows"]))
    answers.append([{{score["label"]: score["score"] for score in row}} for row in rows])
assert ("welltuned" in sys.modules) == {expected}
json.dump(answers, sys.stdout)
"""
ORDERS = {
    "without": ("import transformers", False),
    "first": ("import welltuned\nimport transformers", True),
    "last": ("import transformers\nfrom transformers import AutoModel\nimport welltuned", True),
}


def saved(origin: Pretrained, method: str, head: str, folder: Path) -> list[dict[str, float]]:
    """Train a little, save, and return the probabilities of four rows by label."""
    one = subject(origin, tiny_spec(method), head)
    take_steps(one)
    split = tokenize(examples(4, CLASSES, seed=5), origin.tokenizer, 64)
    logits = torch.from_numpy(predict(one.encoder, split, 4, PLAIN))
    artifact.save(folder, one.encoder, one.method, one.spec, origin, LABELS)
    return [dict(zip(LABELS, row, strict=True)) for row in logits.softmax(dim=1).tolist()]


def opened(folders: list[Path], order: str, root: Path) -> list[list[dict[str, float]]]:
    imports, expected = ORDERS[order]
    rows = examples(4, CLASSES, seed=5)
    assert rows.pair is not None
    request = {
        "folders": [str(folder) for folder in folders],
        "rows": [{"text": text, "text_pair": pair} for text, pair in zip(rows.text, rows.pair, strict=True)],
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(imports=imports, expected=expected)],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        cwd=folders[0],
        env={**os.environ, "PYTHONPATH": str(root), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    answers: list[list[dict[str, float]]] = json.loads(done.stdout)
    return answers


def kinds(stock: bool, families: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Methods, families and heads whose artifact is a stock checkpoint (native head, mergeable), or is not."""
    mergeable = {name for name in methods.names() if methods.find(name).merge is not Method.merge}
    return [
        (method, family, head)
        for method in methods.names()
        for family in families
        for head in ("mean", "native")
        if (head == "native" and method in mergeable) == stock
    ]


@pytest.mark.parametrize(
    ("order", "stock", "families"), [("without", True, MAIN), ("first", False, MAIN), ("last", False, MAIN[:1])]
)
def test_a_pipeline_in_another_process(
    order: str, stock: bool, families: tuple[str, ...], tiny: Find, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    made = kinds(stock, families)
    assert {family for _, family, _ in made} == set(families)
    folders = [tmp_path / "-".join(kind) for kind in made]
    expected = [
        saved(tiny(family), method, head, folder) for (method, family, head), folder in zip(made, folders, strict=True)
    ]
    for folder in folders:
        config = json.loads((folder / "config.json").read_text())
        assert (config["model_type"] != "welltuned") == stock
        assert "auto_map" not in config
        assert not [path for path in folder.rglob("*") if path.suffix in {".bin", ".pt", ".pkl", ".py"}]
    for ours, theirs in zip(expected, opened(folders, order, pytestconfig.rootpath), strict=True):
        assert theirs == [pytest.approx(row, abs=1e-5) for row in ours]


def test_saving_again_replaces_the_folder(tiny: Find, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "stale").write_text("old")
    saved(tiny("bert"), "head", "mean", folder)
    assert not (folder / "stale").exists()
    assert (folder / "model.safetensors").exists()


def test_a_failed_save_keeps_the_old_folder(tiny: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "model"
    saved(tiny("bert"), "head", "mean", folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tiny("bert").tokenizer), "save_pretrained", full_disk)
    with pytest.raises(ResourceError, match="No space left"):
        saved(tiny("bert"), "head", "mean", folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_damaged_model_is_a_data_error(name: str, tiny: Find, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    saved(tiny("bert"), "head", "mean", folder)
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(DataError, match=f"{name} is not as it was written"):
        artifact.load(folder)
    with pytest.raises(DataError, match="no model here"):
        artifact.load(tmp_path / "nothing")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_class_gives_a_loss_and_takes_no_mask(family: str, tiny: Find, tmp_path: Path) -> None:
    saved(tiny(family), "head", "mean", tmp_path / "model")
    model = artifact.load(tmp_path / "model")
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    labels = torch.tensor([0, 2])
    with torch.no_grad():
        bare, masked = model(input_ids=ids), model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels)
    assert bare.loss is None
    torch.testing.assert_close(bare.logits, masked.logits)
    torch.testing.assert_close(masked.loss, torch.nn.functional.cross_entropy(masked.logits, labels))

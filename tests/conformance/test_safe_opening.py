"""What others made: nothing malicious is opened, no damage passes, and what is honest still opens."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance.contract import LABELS, subject, tiny_spec
from families import FAMILIES
from made_records import make_run
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as torch_save

from welltuned import artifact, opening, vault
from welltuned.errors import DataError, UsageError, WelltunedError
from welltuned.predicting import run_folder
from welltuned.pretrained import Pretrained, pretrained
from welltuned.record import read_arrays, read_run, results_kind, write_json
from welltuned.report import render
from welltuned.spec import ModelSpec

Find = Callable[[str], Pretrained]
Plant = Callable[[Path], Any]

SEED = 20
PICKLE = b"cos\nsystem\n(S'touch ran'\ntR."
"""Would leave a file ``ran`` behind."""


def edit(name: str, **fields: Any) -> Plant:
    """Fields put into a JSON file."""

    def plant(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return plant


def write(name: str, content: bytes | str) -> Plant:
    return lambda folder: (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)


def link(name: str, target: str) -> Plant:
    """A file replaced by a link."""

    def plant(folder: Path) -> None:
        outside = folder.parent / "outside"
        outside.mkdir(exist_ok=True)
        if (folder / name).is_file():
            shutil.copy(folder / name, outside / name)
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return plant


def pipe(name: str) -> Plant:
    def plant(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return plant


def header(change: Callable[[dict[str, Any]], Any]) -> Plant:
    """The header of the weights changed, the tensors left as they are."""

    def plant(folder: Path) -> None:
        path = folder / "model.safetensors"
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        said = json.loads(content[8 : 8 + length])
        raw = change(said)
        text = raw if isinstance(raw, bytes) else json.dumps(said).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return plant


def offsets(start: int, end: int) -> Callable[[dict[str, Any]], Any]:
    """The second tensor placed elsewhere."""

    def change(said: dict[str, Any]) -> None:
        name = [name for name in said if name != "__metadata__"][1]
        a, b = said[name]["data_offsets"]
        said[name]["data_offsets"] = [a + start, b + end]

    return change


def more_bytes(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0" * 16)


def twice(said: dict[str, Any]) -> bytes:
    name = next(name for name in said if name != "__metadata__")
    return (json.dumps(said)[:-1] + f", {json.dumps(name)}: {json.dumps(said[name])}}}").encode()


def tensors(change: Callable[[dict[str, Any]], Any]) -> Plant:
    """Other weights, whole in themselves."""

    def plant(folder: Path) -> None:
        path = folder / "model.safetensors"
        held = load_file(path)
        change(held)
        save_file(held, path, metadata={"format": "pt"})

    return plant


def other_shape(held: dict[str, Any]) -> None:
    name = next(name for name in held if name.endswith("layer.0.output.dense.weight"))
    held[name] = np.ascontiguousarray(held[name].T)


def surplus_block(held: dict[str, Any]) -> None:
    name = next(name for name in held if name.endswith("layer.0.output.dense.weight"))
    held[name.replace("layer.0", "layer.7")] = held[name]


def without_a_tensor(held: dict[str, Any]) -> None:
    del held[next(name for name in held if name.endswith("layer.0.output.dense.weight"))]


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(PICKLE)


def sharded(shard: str) -> Plant:
    def plant(folder: Path) -> None:
        outside = folder.parent / "outside"
        outside.mkdir(exist_ok=True)
        held = load_file(folder / "model.safetensors")
        shutil.move(folder / "model.safetensors", outside / "model.safetensors")
        save_file({"unused": np.zeros(1, np.float32)}, folder / "model-00002-of-00002.safetensors")
        if shard.endswith(".bin"):
            (folder / shard).write_bytes(PICKLE)
        index = {"metadata": {}, "weight_map": dict.fromkeys(held, shard)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return plant


DEEP = "[" * 900 + "]" * 900

MODELS: dict[str, tuple[Plant, str]] = {
    "weights in a pickle alone": (only_a_pickle, "safetensors"),
    "remote code in config.json": (edit("config.json", auto_map={"AutoModel": "evil.Model"}), "config.json"),
    "remote code deeper in config.json": (edit("config.json", sub={"auto_map": {"AutoModel": "e.M"}}), "auto_map"),
    "remote code in the tokenizer": (
        edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.T", None]}), "tokenizer_config.json",
    ),
    "weights that are a link outside": (link("model.safetensors", "../outside/model.safetensors"), "outside"),
    "config that is a link to a secret": (link("config.json", "/etc/passwd"), "/etc/passwd"),
    "tokenizer that is a link to a device": (link("tokenizer.json", "/dev/zero"), "/dev/zero"),
    "vocabulary that is a dangling link": (link("vocab.txt", "../nothing"), "vocab.txt"),
    "config that is a pipe": (pipe("config.json"), "regular"),
    "weights that are a pipe": (pipe("model.safetensors"), "regular"),
    "shards outside the folder": (sharded("../outside/model.safetensors"), "weight_map"),
    "shards that are pickles": (sharded("stolen.bin"), "stolen.bin"),
    "shards that are missing": (sharded("model-00001-of-00002.safetensors"), "model-00001"),
    "weights named elsewhere": (edit("config.json", transformers_weights="/etc/passwd"), "transformers_weights"),
    "tokenizer file elsewhere": (
        edit("tokenizer_config.json", fast_tokenizer_files=["tokenizer.x/../../x.json"]), "fast_tokenizer_files",
    ),
    "vocabulary named elsewhere": (edit("tokenizer_config.json", vocab_file="/etc/passwd"), "vocab_file"),
    "an adapter that names another model": (
        write("adapter_config.json", json.dumps({"base_model_name_or_path": "../outside", "peft_type": "LORA"})),
        "adapter",
    ),
    "JSON of 900 levels": (write("tokenizer_config.json", DEEP), "nested"),
    "JSON of 100,000 levels": (write("config.json", '{"a":' * 100_000 + "1" + "}" * 100_000), "nested"),
    "JSON of three million arrays": (write("tokenizer.json", "[" + "[]," * 3_000_000 + "[]]"), "too large"),
    "JSON of nine million numbers": (write("generation_config.json", "[" + "1," * 9_000_000 + "1]"), "too large"),
    "JSON of 70 MB": (write("tokenizer.json", '"' + "a" * 70_000_000 + '"'), "MiB"),
    "a billion classes": (edit("config.json", num_labels=10**9), "num_labels"),
    "a billion layers": (edit("config.json", num_hidden_layers=10**9), "num_hidden_layers"),
    "a hundred thousand layers": (edit("config.json", num_hidden_layers=10**5), "parameters"),
    "a vocabulary of a billion": (edit("config.json", vocab_size=10**9), "parameters"),
    "a header longer than the file": (write("model.safetensors", struct.pack("<Q", 1 << 40) + b"{}"), "safetensors"),
    "a header that is not JSON": (header(lambda _: b"no JSON at all"), "safetensors"),
    "tensors that overlap": (header(offsets(-4, -4)), "safetensors"),
    "tensors with a hole between": (header(offsets(4, 4)), "safetensors"),
    "a tensor beyond the file": (header(offsets(0, 1 << 40)), "safetensors"),
    "a tensor that ends before it begins": (header(offsets(1 << 30, 0)), "safetensors"),
    "bytes behind the last tensor": (more_bytes, "safetensors"),
    "a tensor named twice": (header(twice), "twice"),
    "a tensor of another shape": (tensors(other_shape), "layer.0.output.dense.weight"),
    "a tensor of a block too many": (tensors(surplus_block), "layer.7.output.dense.weight"),
    "a tensor missing": (tensors(without_a_tensor), "layer.0.output.dense.weight"),
}  # fmt: skip


@pytest.fixture
def no_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Planted code would leave a file behind."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield
    assert not list(tmp_path.rglob("ran"))


def refused(open_it: Callable[[], Any], said: str, folder: Path) -> None:
    """With what, where, why and how to mend it, and the exit code of wrong calls or wrong data."""
    with pytest.raises((DataError, UsageError)) as caught:
        open_it()
    error = caught.value
    assert isinstance(error, WelltunedError)
    assert error.exit_code in (2, 3)
    assert error.what
    assert error.why
    assert error.mend
    assert str(folder) in str(error.where)
    assert said in error.message


@pytest.fixture
def model(model_folder: Callable[[str], Path], tmp_path: Path, no_code_runs: None) -> Path:
    folder = Path(shutil.copytree(model_folder("bert"), tmp_path / "model"))
    (folder / "evil.py").write_text("open('ran', 'w')")
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_malicious_model_is_not_opened(name: str, model: Path) -> None:
    plant, said = MODELS[name]
    plant(model)
    refused(lambda: pretrained(ModelSpec(name=str(model))).encoder("mean", 2, 0), said, model)


@pytest.fixture(scope="module")
def honest(tiny: Find, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of a run as it is saved: of a stock architecture, with an adapter beside it."""
    folder = tmp_path_factory.mktemp("honest") / "model"
    one = subject(tiny("bert"), tiny_spec("lora"), "native")
    artifact.save(folder, one.encoder, one.method, one.spec, tiny("bert"), LABELS)
    return folder


@pytest.fixture
def own(honest: Path, tmp_path: Path, no_code_runs: None) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "model"))


def open_own(folder: Path) -> None:
    artifact.load(folder)
    artifact.load_tokenizer(folder)


OWN = {
    **{name: value for name, value in MODELS.items() if "pickle" not in name and "block too many" not in name},
    "a pickle beside the weights": (write("training_args.bin", PICKLE), "pickle"),
    "a pickle in the place of the weights": (only_a_pickle, "pickle"),
    "a surplus tensor": (tensors(lambda held: held.update(more=np.zeros(3, np.float32))), "more"),
    "a tokenizer that is none": (write("tokenizer.json", '{"model": {"type": "Evil"}}'), "no model here"),
}


@pytest.mark.parametrize("name", OWN)
def test_a_malicious_run_is_not_opened(name: str, own: Path) -> None:
    """Whoever plants it writes a manifest to it."""
    plant, said = OWN[name]
    plant(own)
    unread = "pipe" in name or "device" in name or "dangling" in name
    if not unread:
        opening.write_manifest(own)
    if name == "a hundred thousand layers":
        said = "config.json"
    refused(lambda: open_own(own), "" if unread else said, own)


RECORDS: dict[str, tuple[Plant, str]] = {
    "record that is a link to a secret": (link("record.json", "/etc/passwd"), "link"),
    "record that is a link to a device": (link("record.json", "/dev/zero"), "link"),
    "record that is a pipe": (pipe("record.json"), "regular"),
    "record of three million arrays": (write("record.json", "[" + "[]," * 3_000_000 + "[]]"), "too large"),
    "record of 100,000 levels": (write("record.json", "[" * 100_000), "damaged"),
    "record that is a pickle": (write("record.json", PICKLE), "damaged"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_malicious_record_is_not_read(name: str, tmp_path: Path, no_code_runs: None) -> None:
    plant, said = RECORDS[name]
    folder = tmp_path / "run"
    write_json(folder / "record.json", make_run())
    plant(folder)
    refused(lambda: read_run(folder), said, folder)


def test_the_same_where_a_folder_tells_its_kind(tmp_path: Path) -> None:
    for content in ('{"kind":' * 100_000, "[" + "[]," * 3_000_000 + "[]]"):
        (tmp_path / "results.json").write_text(content)
        assert results_kind(tmp_path) is None
        refused(lambda: render(tmp_path), "results.json", tmp_path)


@pytest.mark.parametrize(
    "plant", [link("vault.jsonl", "/dev/zero"), pipe("vault.jsonl"), write("vault.jsonl", b"\xff")]
)
def test_a_malicious_ledger_holds_nothing_up(plant: Plant, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    plant(tmp_path / "run")
    assert all(one.purpose == vault.TORN for one in vault.looks(tmp_path / "run", "hash"))


ARRAYS: dict[str, tuple[Plant, str]] = {
    "pickle": (write("a.safetensors", PICKLE), "arrays"),
    "link": (link("a.safetensors", "/dev/zero"), "link"),
    "pipe": (pipe("a.safetensors"), "regular"),
    "cut": (lambda folder: os.truncate(folder / "a.safetensors", 90), "arrays"),
    "empty": (write("a.safetensors", b""), "arrays"),
    "of a type that numpy lacks": (
        lambda folder: torch_save({"x": torch.zeros(2, dtype=torch.float8_e4m3fn)}, folder / "a.safetensors"),
        "arrays",
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_malicious_arrays_are_not_read(name: str, tmp_path: Path, no_code_runs: None) -> None:
    plant, said = ARRAYS[name]
    save_file({"dev.logits": np.zeros((8, 2), np.float32)}, tmp_path / "a.safetensors")
    plant(tmp_path)
    refused(lambda: read_arrays(tmp_path / "a.safetensors"), said, tmp_path)


def test_an_array_that_is_not_there_is_named(tmp_path: Path) -> None:
    save_file({"dev.logits": np.zeros((8, 2), np.float32)}, tmp_path / "a.safetensors")
    assert read_arrays(tmp_path / "a.safetensors", "dev.logits").keys() == {"dev.logits"}
    refused(lambda: read_arrays(tmp_path / "a.safetensors", "dev.logits", "dev.labels"), "'dev.labels'", tmp_path)


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "..", "", "a/b", "a\\b", "a\0b"])
def test_a_record_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    refused(lambda: opening.below(tmp_path, name), "folder", tmp_path)
    assert opening.below(tmp_path, "full-0") == tmp_path / "full-0"


def test_a_search_that_names_a_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Chosen:
        runs = ("../../elsewhere",)

    class Record:
        winner = Chosen()

    (tmp_path / "results.json").write_text('{"kind": "search"}')
    monkeypatch.setattr("welltuned.predicting.folders.results_kind", lambda _: "search")
    monkeypatch.setattr("welltuned.predicting.folders.read_record", lambda *_: Record())
    refused(lambda: run_folder(tmp_path), "elsewhere", tmp_path)


def parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def found(folder: Path, path: Path) -> bool:
    """Whether a check of the folder refuses it and names the file (or the manifest that no longer names it)."""
    try:
        opening.require_own_model(folder)
    except (DataError, UsageError) as error:
        return path.name in error.message or opening.MANIFEST in path.name
    except OSError as error:
        return path.name in str(error)
    return False


def test_every_flipped_bit_is_found(own: Path, record_property: Callable[[str, object], None]) -> None:
    """A bit in 40 places of each file, and one in each byte of the manifest."""
    draw, flips = random.Random(SEED), 0
    for path in parts(own):
        content = path.read_bytes()
        every = path.name == opening.MANIFEST
        for at in range(len(content)) if every else sorted(draw.sample(range(len(content)), min(40, len(content)))):
            bit = draw.randrange(8)
            path.write_bytes(content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :])
            assert found(own, path), f"{path.name}: bit {bit} of byte {at}"
            flips += 1
        path.write_bytes(content)
    opening.require_own_model(own)
    record_property("flips", flips)
    print(f"{flips:,} flipped bits in {len(parts(own))} files, all found")


def test_every_cut_and_every_missing_file_is_found(own: Path) -> None:
    cuts = 0
    for path in parts(own):
        content = path.read_bytes()
        for length in sorted({0, 1, len(content) // 3, len(content) // 2, len(content) - 1}):
            path.write_bytes(content[:length])
            assert found(own, path), f"{path.name} cut to {length}"
            cuts += 1
        path.unlink()
        assert found(own, path), f"{path.name} deleted"
        path.write_bytes(content)
    opening.require_own_model(own)
    print(f"{cuts} cuts and {len(parts(own))} deletions, all found")


def test_damage_is_told_when_the_model_is_opened(own: Path) -> None:
    weights = own / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused(lambda: artifact.load(own), "SHA-256", own)
    refused(lambda: pretrained(ModelSpec(name=str(own))), "SHA-256", own)
    weights.unlink()
    refused(lambda: artifact.load(own), "model.safetensors is missing", own)
    shutil.rmtree(own / "adapter")
    refused(lambda: artifact.load(own), "adapter_config.json is missing", own)
    (own / opening.MANIFEST).unlink()
    refused(lambda: artifact.load(own), opening.MANIFEST, own)


def test_what_is_not_read_may_lie_beside_a_model(own: Path) -> None:
    (own / "README.md").write_text("# a model card")
    (own / ".gitattributes").write_text("*.safetensors filter=lfs")
    open_own(own)
    (own / "more.json").write_text("{}")
    refused(lambda: artifact.load(own), "more.json does not belong here", own)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("method", "head"), [("full", "native"), ("prefix", "mean"), ("lora", "mean")])
def test_honest_models_open(family: str, method: str, head: str, tiny: Find, tmp_path: Path) -> None:
    """As a run's model, and the stock ones as a model to go on from."""
    one = subject(tiny(family), tiny_spec(method), head)
    artifact.save(tmp_path / "model", one.encoder, one.method, one.spec, tiny(family), LABELS)
    open_own(tmp_path / "model")
    if head == "native":
        pretrained(ModelSpec(name=str(tmp_path / "model"))).encoder("mean", 2, 0)


def test_a_snapshot_in_the_cache_of_the_hub_opens(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Its files are links to blobs of the same repository; a blob of another is refused."""
    home = tmp_path / "models--owner--name"
    snapshot = home / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (home / "blobs").mkdir()
    for at, path in enumerate(sorted(model_folder("bert").iterdir())):
        shutil.copy(path, home / "blobs" / str(at))
        (snapshot / path.name).symlink_to(f"../../blobs/{at}")
    pretrained(ModelSpec(name=str(snapshot))).encoder("mean", 2, 0)
    other = tmp_path / "models--evil--name" / "blobs"
    other.mkdir(parents=True)
    shutil.copy(snapshot / "config.json", other / "0")
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(other / "0")
    refused(lambda: pretrained(ModelSpec(name=str(snapshot))), "models--evil--name", snapshot)


def test_a_pickle_beside_whole_weights_lies_there_unread(model: Path) -> None:
    """As in many checkpoints on the Hub and in those of HF Trainer."""
    for name in ("pytorch_model.bin", "training_args.bin"):
        (model / name).write_bytes(PICKLE)
    pretrained(ModelSpec(name=str(model))).encoder("mean", 2, 0)


def test_paths_of_another_machine_in_a_tokenizer_are_let_be(model: Path) -> None:
    edit("tokenizer_config.json", name_or_path="/content/x", special_tokens_map_file="/no/such", vocab_file="/no")(
        model
    )
    pretrained(ModelSpec(name=str(model)))

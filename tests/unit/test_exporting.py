"""What an export is checked on, without exporting: a graph that computes something else must not get through."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from welltuned import Classifier
from welltuned.batches import Batch
from welltuned.errors import UsageError, WelltunedError
from welltuned.exporting import export_onnx, export_stock
from welltuned.exporting.check import Subject
from welltuned.exporting.onnx import EXAMPLE
from welltuned.predicting import Predictor

TEXTS = [f"{'red sun' if i % 2 else 'blue moon'} {i}" for i in range(30)]


@pytest.fixture(scope="module")
def kept(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    one = Classifier("head", model=str(model_folder("bert")), max_length=24, epochs=1, batch_size=8, precision="fp32")
    return one.fit(TEXTS, [i % 2 for i in range(30)]).save(tmp_path_factory.mktemp("kept") / "run")


@pytest.fixture(scope="module")
def native(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that a stock class can say."""
    short = {"max_length": 24, "epochs": 1, "batch_size": 8, "precision": "fp32"}
    one = Classifier("head", model=str(model_folder("bert")), head="native", **short)  # type: ignore[arg-type]
    return one.fit(TEXTS, [i % 2 for i in range(30)]).save(tmp_path_factory.mktemp("native") / "run")


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


@pytest.mark.parametrize("name", ["run", "run/model", "model", "notes", "file"])
def test_nothing_but_an_older_export_is_replaced(
    name: str, kept: Path, native: Path, tmp_path: Path, model_folder: Callable[[str], Path]
) -> None:
    """What stands in the way stays as it is: a run, its model, a model from elsewhere, a folder of notes, a file."""
    shutil.copytree(kept, tmp_path / "run")
    shutil.copytree(model_folder("bert"), tmp_path / "model")
    (tmp_path / "notes").mkdir()
    for note in ("notes/note.txt", "file"):
        (tmp_path / note).write_text("mine")
    before = contents(tmp_path)
    exports: list[Callable[[Path], object]] = [lambda folder: export_stock(native, folder)]
    if find_spec("onnxscript"):
        exports.append(lambda folder: export_onnx(kept, folder))
    for export in exports:
        with pytest.raises(UsageError) as refused:
            export(tmp_path / name)
        assert refused.value.where == str(tmp_path / name)
        assert refused.value.why
        assert refused.value.mend
        assert contents(tmp_path) == before
        for _ in range(2):  # the second takes the place of the first
            export(tmp_path / "new")
        shutil.rmtree(tmp_path / "new")


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


Done = subprocess.CompletedProcess[bytes]


def example(folder: Path, *arguments: str, options: tuple[str, ...] = (), stdin: bytes = b"") -> Done:
    """The script of an export in a process of its own."""
    command = [sys.executable, *options, "example.py", *arguments]
    return subprocess.run(command, cwd=folder, input=stdin, capture_output=True, check=False)


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """A folder with the script of an export and nothing else."""
    shutil.copy(EXAMPLE, tmp_path / "example.py")
    return tmp_path


BARE = ("-I", "-S")
"""Options of Python with which no installed package can be imported."""


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_the_example_explains_itself_where_there_is_neither_model_nor_package(option: str, alone: Path) -> None:
    done = example(alone, option, options=BARE)
    assert (done.returncode, done.stderr) == (0, b"")
    told = done.stdout.decode()
    for said in ('example.py "is it so" "It is so."', "< rows.tsv", "model.onnx", "pip install onnxruntime tokenizers"):
        assert said in told
    assert max(map(len, told.splitlines())) <= 120


def test_the_example_says_what_is_not_there(alone: Path) -> None:
    bare = example(alone, "a", options=BARE)
    assert bare.returncode == 3
    assert b"is not installed\n  mend: pip install onnxruntime tokenizers" in bare.stderr
    pytest.importorskip("onnxruntime")
    empty = example(alone, "a")
    assert empty.returncode == 3
    assert b"export.json is missing\n  why: " in empty.stderr
    assert b"Traceback" not in bare.stderr + empty.stderr


def test_the_example_says_which_row_it_cannot_read(kept: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    folder, _ = export_onnx(kept, tmp_path / "export")
    answered = example(folder, stdin=b"red sun\r\n\nblue moon\n")
    assert [json.loads(line)["label"] in ("0", "1") for line in answered.stdout.splitlines()] == [True, True]
    for arguments, stdin, code, said in [
        (
            ("a", "b"),
            b"",
            2,
            "line: 2 texts in a row of 1\n  why:  the model reads single texts\n  mend: give one text",
        ),
        ((), b"a\n\na\tb\n", 2, "line 3: 2 texts in a row of 1"),
        ((), b"caf\xe9\n", 3, "stdin: this is not text in UTF-8"),
    ]:
        refused = example(folder, *arguments, stdin=stdin)
        assert refused.returncode == code
        assert said in refused.stderr.decode()
        assert b"Traceback" not in refused.stderr

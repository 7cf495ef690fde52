"""Wrong inputs give one clear error with its exit code, or are handled and said aloud; never a traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from welltuned.cli import main

from .conftest import Command, rows, write_csv

Make = Callable[[Path], Path]
QUICK = ("--method", "head", "--epochs", "1", "--max-length", "16")


def _text(name: str, content: str | bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def _csv(*changes: dict[str, str], n: int = 40) -> Make:
    def make(folder: Path) -> Path:
        table = rows(n)
        for row, change in zip(table, changes, strict=False):
            row.update(change)
        return write_csv(folder / "rows.csv", table)

    return make


def _all(**values: str) -> Make:
    return _csv(*[dict(values)] * 40)


def _jsonl(*lines: str, n: int = 20) -> Make:
    good = [json.dumps(row) for row in rows(n)]
    return _text("rows.jsonl", "\n".join([*good, *lines]))


def _missing(folder: Path) -> Path:
    (folder / "rowz.csv").write_text("question,passage,answer\n")
    return folder / "rows.csv"


def _empty_folder(folder: Path) -> Path:
    (folder / "data").mkdir()
    return folder / "data"


HEADER = "question,passage,answer\n"

WRONG_DATA = {
    "missing file": (_missing, "rowz.csv"),
    "empty folder": (_empty_folder, "train"),
    "missing label column": (_text("rows.csv", "question,passage\na,b\n"), "--label"),
    "no text column": (_text("rows.csv", "x,answer\na,yes\n"), "--text"),
    "empty file": (_text("rows.csv", ""), "empty"),
    "header alone": (_text("rows.csv", HEADER), "rows"),
    "latin-1": (_text("rows.csv", HEADER.encode() + "café,passage,yes\n".encode("latin-1")), "iconv"),
    "UTF-16": (_text("rows.csv", (HEADER + "a,b,yes\n").encode("utf-16")), "UTF-16"),
    "torn jsonl": (_jsonl('{"question": "is it so", "passa'), "rows.jsonl:21"),
    "jsonl that is no object": (_jsonl("[1, 2]"), "rows.jsonl:21"),
    "wrong separator": (_text("rows.csv", "question;passage;answer\na;b;yes\n"), "semicolon"),
    "ragged row": (_text("rows.csv", HEADER + "a,b,yes\nc,d\n"), "rows.csv:3"),
    "duplicate column": (_text("rows.csv", "question,question,answer\na,b,yes\n"), "question"),
    "one class": (_all(answer="yes"), "one class"),
    "hidden labels": (_csv({"answer": "-1"}, *[{"answer": str(i % 2)} for i in range(39)]), "-1"),
    "mixed labels": (_csv(*[{"answer": "1"}] * 20), "rows.csv:"),
    "missing label": (_csv({"answer": ""}), "rows.csv:2"),
    "fractional label": (_all(answer="0.5"), "0.5"),
    "a class for nearly every row": (_csv(*[{"answer": f"class {i}"} for i in range(40)]), "label"),
    "empty text": (_csv({"question": "  "}), "rows.csv:2"),
    "too few rows": (_csv(n=4), "rows"),
    "binary file": (_text("rows.csv", bytes(range(256))), "rows.csv"),
    "gzip": (_text("rows.csv.gz", b"\x1f\x8b\x08\x00"), "gz"),
    "unknown format": (_text("rows.xyz", "a"), "csv"),
    "damaged parquet": (_text("rows.parquet", b"PAR1 nothing"), "rows.parquet"),
}


@pytest.mark.parametrize("name", WRONG_DATA)
def test_wrong_data(name: str, welltuned: Command, bert: Path, tmp_path: Path) -> None:
    make, said = WRONG_DATA[name]
    done = welltuned("train", make(tmp_path), "--model", bert, "--out", tmp_path / "out", *QUICK)
    assert done.code == 3, done.err
    assert done.err.splitlines()[-1].strip()
    assert said in done.err
    assert "error: " in done.err
    assert not (tmp_path / "out" / "record.json").exists()


HANDLED = {
    "byte order mark": _text(
        "rows.csv",
        b"\xef\xbb\xbf" + "".join([HEADER, *[f"q{i},p{i},{'yes' if i % 2 else 'no'}\n" for i in range(40)]]).encode(),
    ),
    "NA as text": _csv({"question": "NA"}, {"question": "null"}, {"question": "None"}),
    "a text of five megabytes": _csv({"passage": "word " * 1_000_000}),
    "boolean labels": _csv(*[{"answer": "true" if i % 3 else "false"} for i in range(40)]),
}


@pytest.mark.parametrize("name", HANDLED)
def test_odd_data_that_is_handled(name: str, welltuned: Command, bert: Path, tmp_path: Path) -> None:
    done = welltuned("train", HANDLED[name](tmp_path), "--model", bert, "--out", tmp_path / "out", *QUICK)
    assert done.code == 0, done.err
    if name == "a text of five megabytes":
        assert "lose the end of the passage" in done.err


def _folder_with(config: dict[str, object]) -> Make:
    def make(folder: Path) -> Path:
        path = folder / "model"
        path.mkdir()
        (path / "config.json").write_text(json.dumps(config))
        return path

    return make


WRONG_CALLS = {
    "unknown method": (["--method", "lorra"], 2, "did you mean lora"),
    "unknown field": (["--method", "lora:rang=3"], 2, "rank"),
    "field without value": (["--method", "lora:rank"], 2, "NAME:FIELD=VALUE"),
    "a seed of its own": (["--method", "lora:seed=5"], 2, "--seed"),
    "rank of zero": (["--method", "lora:rank=0"], 2, "rank"),
    "unknown target": (["--method", "lora:targets=gate"], 2, "query"),
    "negative learning rate": (["--lr", "-1"], 2, "--lr"),
    "no epochs": (["--epochs", "0"], 2, "epochs"),
    "unknown schedule": (["--schedule", "steps"], 2, "--schedule"),
    "unknown head": (["--head", "max"], 2, "--head"),
    "rows beyond the positions": (["--max-length", "4096"], 2, "--max-length"),
    "unknown option": (["--learning-rat", "1"], 2, "learning-rat"),
    "more rows to overfit than there are": (["--overfit", "5000"], 3, "--overfit"),
}


@pytest.mark.parametrize("name", WRONG_CALLS)
def test_wrong_call(name: str, welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    options, code, said = WRONG_CALLS[name]
    done = welltuned("train", problem, "--model", bert, "--out", tmp_path / "out", "--max-length", "64", *options)
    assert done.code == code, done.err
    assert said in done.err


WRONG_MODELS = {
    "decoder-only": (_folder_with({"model_type": "gpt2"}), 2, "gpt2"),
    "remote code": (_folder_with({"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}), 2, "code"),
    "no weights": (_folder_with({"model_type": "bert"}), 3, "safetensors"),
    "no folder": (lambda folder: folder / "nothing", 2, "nothing"),
}


@pytest.mark.parametrize("name", WRONG_MODELS)
def test_wrong_model(name: str, welltuned: Command, problem: Path, tmp_path: Path) -> None:
    make, code, said = WRONG_MODELS[name]
    done = welltuned("train", problem, "--model", make(tmp_path), "--out", tmp_path / "out", *QUICK)
    assert done.code == code, done.err
    assert said in done.err


def test_unknown_hub_model_offline(
    welltuned: Command, problem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    done = welltuned("train", problem, "--model", "nobody/nothing", "--out", tmp_path / "out", *QUICK)
    assert done.code == 4, done.err
    assert "minilm" in done.err


def test_output_folder_that_cannot_be_written(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = welltuned("train", problem, "--model", bert, "--out", tmp_path / "file" / "below", *QUICK)
    assert done.code == 4, done.err
    assert "cannot write" in done.err
    assert welltuned("train", problem, "--model", bert, "--out", tmp_path / "file", *QUICK).code == 2


def test_report_of_nothing(welltuned: Command, tmp_path: Path) -> None:
    done = welltuned("report", tmp_path)
    assert done.code == 3
    assert "results.json" in done.err


@pytest.fixture(scope="module")
def run(problem: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the head on the small problem."""
    out = tmp_path_factory.mktemp("wrong") / "run"
    with pytest.raises(SystemExit) as left:
        main([str(one) for one in ("train", problem, "--model", bert, "--out", out, *QUICK)])
    assert not left.value.code
    return out


def _without(*names: str) -> Callable[[Path, Path], Path]:
    def make(run: Path, folder: Path) -> Path:
        shutil.copytree(run, folder / "copy")
        for name in names:
            (folder / "copy" / name).unlink(missing_ok=True)
        return folder / "copy"

    return make


def _torn(name: str) -> Callable[[Path, Path], Path]:
    def make(run: Path, folder: Path) -> Path:
        copy = _without()(run, folder)
        (copy / name).write_bytes((copy / name).read_bytes()[:200])
        return copy

    return make


def _several(run: Path, folder: Path) -> Path:
    for name in ("a", "b"):
        shutil.copytree(run, folder / name)
    return folder


def _a_comparison_under_way(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder / "runs" / "head")
    return folder


def _of_another_kind(run: Path, folder: Path) -> Path:
    (folder / "results.json").write_text('{"kind": "pretraining"}')
    return folder


WRONG_RUNS: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "no folder": (lambda _, folder: folder / "nothing", "nothing is there"),
    "a file": (lambda run, _: run / "record.json", "it is a file"),
    "an empty folder": (lambda _, folder: folder, "there is no finished run here"),
    "a folder of runs": (_several, "name one of those in it: a, b"),
    "a comparison under way": (_a_comparison_under_way, "name one of those in it: runs/head"),
    "half written": (_without("record.json", "results.json"), "is not finished"),
    "a torn record": (_torn("record.json"), "record.json is damaged"),
    "no weights": (_without("model/model.safetensors"), "model.safetensors is missing"),
    "torn weights": (_torn("model/model.safetensors"), "model.safetensors is not as it was written"),
    "a pretraining": (_of_another_kind, "of the kind pretraining"),
}
OF_A_RUN = {
    "predict": ("--text", "a", "--text-pair", "b"), "serve": ("--port", "0"), "export": ("--to", "transformers"),
    "push": ("ann/yesno",),
}  # fmt: skip


@pytest.mark.parametrize("command", OF_A_RUN)
@pytest.mark.parametrize("name", WRONG_RUNS)
def test_wrong_run(
    name: str, command: str, run: Path, tmp_path: Path, welltuned: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WELLTUNED_API_KEY", raising=False)
    make, said = WRONG_RUNS[name]
    done = welltuned(command, make(run, tmp_path), *OF_A_RUN[command])
    assert done.code == 3, done.err
    assert said in done.err
    assert "  why:  " in done.err
    assert "  mend: " in done.err


WRONG_REQUESTS: dict[str, tuple[tuple[str, ...], str, int, str]] = {
    "predict: no passage": (("predict", "RUN", "--text", "a"), "", 2, "--text-pair"),
    "predict: no question": (("predict", "RUN", "--text-pair", "a"), "", 2, "--text-pair"),
    "predict: two things": (
        ("predict", "RUN", "--text", "a", "--text-pair", "b", "--input", "x.csv"),
        "",
        2,
        "--input",
    ),
    "predict: an empty text": (
        ("predict", "RUN", "--text", " ", "--text-pair", "b"),
        "",
        2,
        "--text: this text is empty",
    ),
    "predict: an empty passage": (
        ("predict", "RUN", "--text", "a", "--text-pair", ""),
        "",
        2,
        "--text-pair: this text",
    ),
    "predict: nothing on stdin": (("predict", "RUN"), "\n", 2, "no rows came on stdin"),
    "predict: a field too few": (("predict", "RUN"), "a\tb\nc\n", 3, "stdin:2: this line has 1 field instead of 2"),
    "predict: an empty field": (("predict", "RUN"), "a\t\n", 3, "stdin:1: the field 'passage' is empty"),
    "predict: half an object": (("predict", "RUN"), '{"question": ', 3, "stdin:1: this line is not JSON"),
    "predict: a number": (("predict", "RUN"), '{"question": 3}', 3, "stdin:1: the field 'question'"),
    "serve: more threads than cores": (("serve", "RUN", "--port", "0", "--threads", "1000000"), "", 2, "--threads"),
    "serve: no name": (("serve", "=RUN", "--port", "0"), "", 2, "NAME=FOLDER"),
    "serve: one name twice": (("serve", "a=RUN", "a=RUN", "--port", "0"), "", 2, "2 models would be called a"),
    "serve: others without a key": (("serve", "RUN", "--host", "", "--port", "0"), "", 2, "at every address"),
    "export: unknown format": (("export", "RUN", "--to", "pdf"), "", 2, "--to"),
    "export: int8 of a checkpoint": (("export", "RUN", "--to", "transformers", "--int8"), "", 2, "--int8"),
    "push: nobody's": (("push", "RUN", "yesno"), "", 2, "does not say whose it is"),
    "push: no name": (("push", "RUN", "a b/c"), "", 2, "no name that the Hub allows"),
}


@pytest.mark.parametrize("name", WRONG_REQUESTS)
def test_wrong_request(name: str, run: Path, welltuned: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WELLTUNED_API_KEY", raising=False)
    arguments, stdin, code, said = WRONG_REQUESTS[name]
    done = welltuned(*(one.replace("RUN", str(run)) for one in arguments), stdin=stdin)
    assert done.code == code, done.err
    assert said in done.err
    assert "  why:  " in done.err
    assert "  mend: " in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "RUN", "--port", "70000"), ("serve", "RUN", "--port", "-1"), ("serve", "RUN", "--max-items", "0"),
        ("serve", "RUN", "--max-seconds", "nan"), ("serve", "RUN", "--drain-seconds", "-1"),
        ("serve", "RUN", "--threads", "0"), ("app", "RUN", "--port", "70000"), ("app", "RUN", "--port", "x"),
        ("predict", "RUN", "--eval-batch-size", "0"), ("serve",), ("app",), ("export",), ("push", "RUN"), ("predict",),
        ("doctor", "RUN"), ("doctor", "--jso"), ("doctor", "--port", "1"),
    ],
)  # fmt: skip
def test_what_no_option_takes(arguments: tuple[str, ...], welltuned: Command) -> None:
    done = welltuned(*arguments)
    assert done.code == 2
    assert "Error: " in done.err
    assert f"welltuned {arguments[0]} -h' for help." in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nothing",), 3, "nothing is there"),
        (("file",), 3, "it is a file"),
        ((".", "--host", "nowhere.invalid"), 2, "--host: 'nowhere.invalid' is no address of this machine"),
        ((".", "--host", "203.0.113.7"), 2, "--host: '203.0.113.7' is no address of this machine"),
    ],
)
def test_no_page_to_open(
    arguments: tuple[str, ...],
    code: int,
    said: str,
    welltuned: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("gradio")
    (tmp_path / "file").write_text("")
    monkeypatch.chdir(tmp_path)
    done = welltuned("app", *arguments, "--port", "0")
    assert done.code == code, done.err
    assert said in done.err
    assert "  why:  " in done.err
    assert "  mend: " in done.err

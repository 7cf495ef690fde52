"""Wrong inputs give one clear error with its exit code, or are handled and said aloud; never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

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


def test_prediction_without_a_run(welltuned: Command, tmp_path: Path) -> None:
    assert welltuned("predict", tmp_path, "--text", "a", "--text-pair", "b").code == 3

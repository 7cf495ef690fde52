"""Whatever is wrong with the data, the message says what, where and how to mend it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from welltuned.data import load_dataset
from welltuned.errors import DataError
from welltuned.spec import DataSpec

HEADER = b"question,passage,answer\n"


def csv_rows(n: int = 20) -> bytes:
    return b"".join(b"is %d even,passage %d,%s\n" % (i, i, b"yes" if i % 2 else b"no") for i in range(n))


def json_rows(n: int = 20, **changes: Any) -> list[dict[str, Any]]:
    return [{"question": f"is {i} even", "passage": f"passage {i}", "answer": bool(i % 2), **changes} for i in range(n)]


def jsonl(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def labelled(labels: list[Any]) -> bytes:
    return jsonl([{"text": f"text {i}", "label": label} for i, label in enumerate(labels)])


def parquet(columns: dict[str, list[Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


@dataclass(frozen=True)
class Wrong:
    """Files of a folder, the one (or the folder itself) that is the source, and parts of the message."""

    files: dict[str, bytes]
    parts: tuple[str, ...]
    source: str = ""
    spec: dict[str, Any] = field(default_factory=dict)


def one(name: str, content: bytes, *parts: str, **spec: Any) -> Wrong:
    return Wrong({name: content}, parts, name, spec)


def folder(files: dict[str, bytes], *parts: str, **spec: Any) -> Wrong:
    return Wrong(files, parts, "", spec)


GOOD = HEADER + csv_rows()
WRONG = {
    # files that cannot be read
    "empty": one("a.csv", b"", "a.csv", "is empty"),
    "blank": one("a.jsonl", b" \n\n", "a.jsonl", "is empty"),
    "bom only": one("a.csv", b"\xef\xbb\xbf", "a.csv", "is empty"),
    "header only": one("a.csv", HEADER, "a.csv", "no rows"),
    "empty json list": one("a.json", b"[]", "a.json", "no rows"),
    "latin-1": one("a.csv", GOOD + "caf\u00e9,b,yes\n".encode("latin-1"), "a.csv:22", "0xe9", "iconv -f latin-1"),
    "cp1252": one("a.csv", HEADER + "\u201cso\u201d,b,yes\n".encode("cp1252"), "a.csv:2", "byte 24", "cp1252"),
    "latin-1 jsonl": one("a.jsonl", b'{"text": "\xe9"}\n', "a.jsonl:1", "byte 10", "iconv"),
    "utf-16": one("a.csv", GOOD.decode().encode("utf-16"), "a.csv", "UTF-16", "iconv -f UTF-16"),
    "utf-16 without mark": one("a.csv", GOOD.decode().encode("utf-16-le"), "a.csv:1", "NUL byte at byte 1"),
    "nul byte": one("a.tsv", b"text\tlabel\nab\0c\tyes\n", "a.tsv:2", "NUL byte at byte 13"),
    "gzip": one("a.jsonl.gz", b"\x1f\x8b\x08\0\0", "a.jsonl.gz", "gzip", "gunzip -k a.jsonl.gz"),
    "gzip in disguise": one("a.csv", b"\x1f\x8b\x08\0\0", "a.csv", "gzip"),
    "excel": one("a.xlsx", b"PK\x03\x04rest", "a.xlsx", "Excel", "csv"),
    "unknown suffix": one("a.txt", GOOD, "a.txt", "'.txt'", ".csv"),
    "no suffix": one("rows", GOOD, "rows", "no suffix", ".csv"),
    # separated values
    "semicolons": one("a.csv", GOOD.replace(b",", b";"), "a.csv:1", "semicolon", "';'"),
    "tabs in csv": one("a.csv", GOOD.replace(b",", b"\t"), "a.csv:1", "a tab", ".tsv"),
    "commas in tsv": one("a.tsv", GOOD, "a.tsv:1", "a comma"),
    "short row": one("a.csv", GOOD + b"q,p\nq,p,yes\n", "a.csv:22", "2 cells", "header has 3"),
    "long rows": one("a.csv", HEADER + b"a, b,p,yes\n" * 3, "a.csv:2", "4 cells", "2 more such rows", "quote"),
    "torn csv": one("a.csv", GOOD + b"is this", "a.csv:22", "1 cells", "cut off"),
    "row after a long cell": one("a.csv", HEADER + b'"a\nb\nc",p,yes\nq,p\nx,y,no\n', "a.csv:5", "2 cells"),
    "same header twice": one("a.csv", b"text,text,label\na,b,c\n", "a.csv:1", "'text'", "more than one"),
    "nameless column": one("a.csv", b"text,,label\na,b,c\n", "a.csv:1", "column 2", "no name"),
    "no header": one("a.csv", csv_rows(), "a.csv", "header line may be missing", "'is 0 even'"),
    "open quote": one("a.csv", HEADER + b'a,b,yes\n"open,b,no\nc,d,yes\n', "a.csv:3", "not closed"),
    "quote in quotes": one("a.csv", HEADER + b'"say "yes" now",b,no\n', "a.csv:2", "doubled"),
    # JSON
    "torn jsonl": one("a.jsonl", jsonl(json_rows())[:-20], "a.jsonl:20", "cut off"),
    "bad line": one("a.jsonl", b'{"text": "a"}\n{text}\n{"text": "b"}\n', "a.jsonl:2", "not valid JSON"),
    "bad line after blanks": one("a.jsonl", b'\n\n{"a": 1}\n\nnope\n', "a.jsonl:5", "not valid JSON"),
    "list line": one("a.jsonl", b'{"text": "a"}\n["a", "yes"]\n', "a.jsonl:2", "list", "object"),
    "json list in jsonl": one("a.jsonl", b'[\n{"text": "a"}\n]\n', "a.jsonl:1", ".json file"),
    "field twice": one("a.jsonl", b'{"text": "a", "text": "b"}\n', "a.jsonl:1", "'text' stands twice"),
    "deep nesting": one("a.jsonl", b"[" * 200_000 + b"\n", "a.jsonl:1"),
    "one object": one("a.json", b'{"data": [1, 2]}', "a.json", "dict", "list of objects"),
    "bad json": one("a.json", b'[{"text": "a"},\n{"text": }]', "a.json:2", "not valid JSON"),
    "json list of lists": one("a.json", b'[["a", "yes"]]', "a.json:1", "list", "object"),
    # Parquet
    "torn parquet": one("a.parquet", parquet({"text": ["a"] * 9})[:-9], "a.parquet", "Parquet", "cut off"),
    "csv called parquet": one("a.parquet", GOOD, "a.parquet", "Parquet"),
    "null text in parquet": one(
        "a.parquet", parquet({"text": ["a", None, "c"], "label": [0, 1, 0]}), "a.parquet:2", "'text'", "1 of 3"
    ),
    "nan label in parquet": one(
        "a.parquet", parquet({"text": list("abcd"), "label": [0.0, 1.0, math.nan, 0.0]}), "a.parquet:3", "1 of 4"
    ),
    "bytes as text": one(
        "a.parquet", parquet({"text": [b"a"] * 4, "label": [0, 1, 0, 1]}), "a.parquet", "binary", "'text'"
    ),
    # texts
    "empty text": one("a.csv", GOOD + b" ,p,yes\nq,,no\n", "a.csv:22", "'question'", "1 of 22", "remove"),
    "row of empty cells": one("a.csv", GOOD + b",,\n", "a.csv:22", "1 of 21"),
    "empty passages": one(
        "a.jsonl", jsonl(json_rows(passage="")), "a.jsonl:1", "'passage'", "20 of 20", '--text-pair ""'
    ),
    "list as text": one("a.jsonl", jsonl(json_rows(question=["a"])), "a.jsonl:1", "a list, not text"),
    "object as text": one("a.jsonl", jsonl(json_rows(passage={"a": 1})), "a.jsonl:1", "a dict, not text"),
    # columns
    "column not there": one("a.csv", GOOD, "a.csv", "'pasage'", "did you mean 'passage'", text_pair="pasage"),
    "two texts": one(
        "a.csv", b"text,review,label\na,b,0\n", "a.csv", "'text', 'review'", "--text", "more than one"
    ),
    "two labels": one("a.csv", b"text,label,target\na,1,0\n", "a.csv", "'label', 'target'", "--label"),
    "no text": one("a.csv", b"words,label\na,0\n", "a.csv", "'words', 'label'", "--text"),
    "no label": one("a.csv", b"text,sort\na,0\n", "a.csv", "'text', 'sort'", "--label"),
    "one column twice": one(
        "a.csv",
        GOOD,
        "two purposes: 'answer', 'passage', 'answer'",
        text="answer",
        text_pair="passage",
        label="answer",
    ),
    "dev lacks a column": folder(
        {"train.csv": GOOD, "dev.csv": GOOD.replace(b"answer", b"label")}, "dev.csv", "'answer'", "every split"
    ),
    # labels
    "missing label": one("a.csv", GOOD + b"q,p,\n", "a.csv:22", "1 of 21", "missing"),
    "null label": one("a.jsonl", labelled([0, None, 1, None]), "a.jsonl:2", "2 of 4", "a.jsonl:4"),
    "absent label": one("a.jsonl", labelled([0, 1] * 5) + b'{"text": "x"}\n', "a.jsonl:11", "1 of 11"),
    "some hidden labels": one("a.jsonl", labelled([0, -1, 1, -1]), "a.jsonl:2", "2 of 4", "-1", "hidden"),
    "all labels hidden": one("a.csv", b"text,label\n" + b"a,-1\n" * 5, "a.csv:2", "5 of 5", "hidden"),
    "mixed types": one("a.jsonl", labelled([0, 1, "yes", 0]), "number 0", "'yes'", "a.jsonl:1", "a.jsonl:3"),
    "booleans and integers": one("a.jsonl", labelled([True, 1, 0, False]), "boolean True", "a.jsonl:2"),
    "one class": one("a.jsonl", labelled(["yes"] * 12), "a.jsonl:1", "every label", "'yes'", "--label"),
    "real labels": one("a.jsonl", labelled([0.5, 1.0, 0.25]), "a.jsonl:1", "0.5", "regression"),
    "real labels in csv": one("a.csv", b"text,label\na,1.0\nb,2.5\nc,1.0\n", "a.csv:3", "2.5", "regression"),
    "infinite label": one("a.jsonl", b'{"text": "a", "label": Infinity}\n', "a.jsonl:1", "inf"),
    "list label": one("a.jsonl", labelled([[0], [1]]), "a.jsonl:1", "a list, not a label"),
    "too many classes": one("a.jsonl", labelled([f"id{i}" for i in range(20)]), "20 different labels", "--label"),
    "NA among yes and no": one("a.csv", GOOD + b"q,p,NA\n", "a.csv:22", "'NA'", "missing label"),
    "null among integers": one("a.csv", b"text,label\n" + b"a,0\nb,1\n" * 3 + b"c,null\n", "a.csv:8", "'null'"),
    "unknown test label": folder(
        {"train.csv": GOOD, "dev.csv": GOOD, "test.csv": GOOD + b"q,p,maybe\n"}, "test.csv:22", "'maybe'", "train"
    ),
    "class in dev alone": folder(
        {
            "train.jsonl": labelled(["a", "b"] * 9),
            "dev.jsonl": labelled(["a", "b", "c"]),
            "test.jsonl": labelled(["a"]),
        },
        "dev.jsonl:3", "'c'", "dev but in no row of train",
    ),
    # splits
    "too few rows": one("a.csv", HEADER + csv_rows(9), "a.csv:2", "9 rows", "too few", "10"),
    "one passage": one("a.jsonl", jsonl(json_rows(passage="the same")), "a.jsonl:1", "share 1 passages"),
    # folders
    "empty folder": folder({}, "no train, dev or test file", "empty"),
    "unknown names": folder({"rows.csv": GOOD}, "holds rows.csv", "name them"),
    "two train files": folder({"train.csv": GOOD, "train.json": b"{}"}, "train.csv, train.json", "more than one"),
    "two names for dev": folder({"train.csv": GOOD, "dev.csv": GOOD, "val.csv": GOOD}, "dev.csv, val.csv"),
    "no train file": folder({"dev.csv": GOOD, "test.csv": GOOD}, "no train file", "dev.csv, test.csv"),
    "compressed in folder": folder({"train.jsonl.gz": b"\x1f\x8b\x08\0"}, "train.jsonl.gz", "gunzip"),
    "missing shard": folder({"train-00000-of-00002.csv": GOOD}, "1 of 2 shards", "train-00000-of-00002.csv"),
    "broken test file": folder({"train.csv": GOOD, "dev.csv": GOOD, "test.csv": GOOD + b"q,p\n"}, "test.csv:22"),
    # sources
    "misspelt file": Wrong({"boolq.csv": GOOD}, ("no such file", "boolq.csv", "did you mean"), "bolq.csv"),
    "no such folder": Wrong({}, ("no such file", "there is no folder"), "nowhere/at/all.csv"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_message(wrong: Wrong, tmp_path: Path) -> None:
    for name, content in wrong.files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_dataset(DataSpec(source=str(tmp_path / wrong.source), **wrong.spec))
    for part in wrong.parts:
        assert part in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("", ("source is empty",)),
        ("builtin:yesn", ("no built-in set 'yesn'", "builtin:yesno")),
        ("builtin:", ("no built-in set ''", "builtin:yesno")),
        ("what is this", ("neither a file, a folder nor a Hub id", "builtin:yesno")),
        ("./absent.jsonl", ("no such file", "absent.jsonl")),
        ("absent.csv", ("no such file",)),
    ],
)
def test_sources_that_are_none(source: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(DataSpec(source=source))
    for part in parts:
        assert part in caught.value.message


def test_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(DataError, match=r"symbolic link to .*gone\.csv"):
        load_dataset(DataSpec(source=str(tmp_path / "a.csv")))


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_bytes(GOOD)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    # Not through chmod, which does not bind the superuser.
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"(?s)a\.csv: permission .*chmod u\+r"):
        load_dataset(DataSpec(source=str(tmp_path / "a.csv")))


def test_a_class_cut_out_of_train_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(labelled(["a", "b"] * 30 + ["rare"]))

    def load_with_any_seed() -> None:
        for seed in range(50):
            load_dataset(DataSpec(source=str(path), split_seed=seed))

    with pytest.raises(DataError, match=r"train\.jsonl:61: .*'rare' occurs in (dev|test) but in no row of train"):
        load_with_any_seed()

from __future__ import annotations

import csv
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from welltuned.data.readers import READERS, Table, read_table

TEXTS = [
    "plain",
    'with "quotes", commas and\ttabs',
    "two\nlines",
    "windows\r\nlines",
    "NA",
    "null",
    " spaces around ",
    "naïve — 日本語 🙂",
    "a line separator\u2028inside",
    "=1+1",
]
LABELS = ["yes", "no"] * 5


def write_separated(path: Path, separator: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator).writerows([("text", "label"), *zip(TEXTS, LABELS, strict=True)])


def objects() -> list[dict[str, str]]:
    return [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]


def write_lines(path: Path) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects()), "utf-8", newline="")


WRITERS: dict[str, Callable[[Path], Any]] = {
    ".csv": lambda path: write_separated(path, ","),
    ".tsv": lambda path: write_separated(path, "\t"),
    ".jsonl": write_lines,
    ".ndjson": write_lines,
    ".json": lambda path: path.write_text(json.dumps(objects(), indent=1), "utf-8"),
    ".parquet": lambda path: pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), path),
}


def test_every_format_has_a_writer_here() -> None:
    assert WRITERS.keys() == READERS.keys()


@pytest.mark.parametrize("suffix", READERS)
def test_round_trip(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    WRITERS[suffix](path)
    table = read_table(path)
    assert table.columns == {"text": TEXTS, "label": LABELS}
    assert len(table.origin) == len(set(table.origin)) == len(TEXTS)


@pytest.mark.parametrize("suffix", [suffix for suffix in READERS if suffix != ".parquet"])
def test_byte_order_mark_is_no_part_of_the_first_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    WRITERS[suffix](path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_table(path).columns) == ["text", "label"]


def read(path: Path, content: bytes) -> Table:
    path.write_bytes(content)
    return read_table(path)


def test_origin_is_the_first_line_of_a_record(tmp_path: Path) -> None:
    table = read(tmp_path / "a.csv", b'text,label\n"one\ntwo",yes\n\n\nthree,no\n')
    assert table.origin == ("a.csv:2", "a.csv:6")
    table = read(tmp_path / "a.jsonl", b'\n{"text": "a"}\n\n{"text": "b"}')
    assert table.origin == ("a.jsonl:2", "a.jsonl:4")
    table = read(tmp_path / "a.json", b'[{"text": "a"},\n\n{"text": "b"}]')
    assert table.origin == ("a.json:1", "a.json:2")


def test_suffix_in_capitals(tmp_path: Path) -> None:
    assert read(tmp_path / "A.CSV", b"text,label\na,b\n").columns == {"text": ["a"], "label": ["b"]}


def test_json_with_one_object_a_line(tmp_path: Path) -> None:
    table = read(tmp_path / "a.json", b'{"text": "a", "label": 0}\n{"text": "b", "label": 1}\n')
    assert table.columns == {"text": ["a", "b"], "label": [0, 1]}
    assert table.origin == ("a.json:1", "a.json:2")


def test_absent_fields_are_none(tmp_path: Path) -> None:
    table = read(tmp_path / "a.jsonl", b'{"text": "a"}\n{"label": 1}\n')
    assert table.columns == {"text": ["a", None], "label": [None, 1]}


def test_text_of_five_megabytes_leaves_the_csv_limit_alone(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    table = read(tmp_path / "a.csv", b"text,label\n" + b"a" * 5_000_000 + b",yes\n")
    assert len(table.columns["text"][0]) == 5_000_000
    assert csv.field_size_limit() == before


def test_tsv_with_stray_quotes_is_read_plainly_and_said(tmp_path: Path) -> None:
    table = read(tmp_path / "a.tsv", b'text\tlabel\n"so" he said\tyes\n"open\tno\n')
    assert table.columns["text"] == ['"so" he said', '"open']
    assert any("quotation marks" in note for note in table.notes)


def test_row_numbers_of_a_data_frame_are_left_out_and_said(tmp_path: Path) -> None:
    table = read(tmp_path / "a.csv", b",text,label\n0,a,yes\n1,b,no\n")
    assert table.columns == {"text": ["a", "b"], "label": ["yes", "no"]}
    assert any("row numbers" in note for note in table.notes)


def test_class_names_in_parquet_metadata(tmp_path: Path) -> None:
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features)
    rows.to_parquet(tmp_path / "a.parquet")
    gc.collect()
    table = read_table(tmp_path / "a.parquet")
    assert table.classes == {"label": ("bad", "good")}
    assert table.columns["label"] == [1, 0]

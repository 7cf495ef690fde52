"""Files of every kind, whole and spoiled: each reads as it was written, or ends in one error that names its place.

The quick form tries the same files every time; the long form (``-m slow``) tries many more, others each time.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from welltuned.data import load_dataset
from welltuned.data.readers import READERS, read_table
from welltuned.errors import WelltunedError
from welltuned.spec import DataSpec

SOME = pytest.mark.parametrize("examples", [60, pytest.param(3000, marks=pytest.mark.slow)])
FEW = pytest.mark.parametrize("examples", [15, pytest.param(600, marks=pytest.mark.slow)])
Columns = dict[str, list[Any]]

NASTY = [
    b"\0", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b"\r\n", b'"', b'""', b",", b"\t", b";",
    b"[", b"{", b"]", b"}", b"NaN", b"Infinity", b"1e999", b"-1", b"null", b"true", b'"\\ud800"', b"\\u0000",
    b"\xe2\x80\xa8", b"\xc2\x85", b"\x1c", b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"\xe9", b"\x80",
    b"PAR1", b"\x1f\x8b", b"BZh",
]  # fmt: skip
"""What spoils files, put in at any place."""


def tried(examples: int) -> settings:
    """How often, and whether always the same."""
    return settings(
        max_examples=examples,
        derandomize=examples <= 60,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate] if examples <= 60 else [Phase.generate, Phase.shrink],
    )


@contextmanager
def counted(what: str) -> Iterator[dict[str, int]]:
    """Count outcomes, and say them with ``pytest -s``."""
    counts: dict[str, int] = {}
    yield counts
    print(f"{what}: {', '.join(f'{number:,} {name}' for name, number in sorted(counts.items()))}")


def count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


# --- writers ----------------------------------------------------------------------------------------


def separated(columns: Columns, separator: str, end: str = "\r\n", mark: bytes = b"") -> bytes:
    text = io.StringIO(newline="")
    # Python's writer does not quote a carriage return where lines end with a line feed alone.
    quoting = csv.QUOTE_MINIMAL if "\r" in end else csv.QUOTE_ALL
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([columns, *zip(*columns.values(), strict=True)])
    return mark + text.getvalue().encode()


def objects(columns: Columns) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def parquet(columns: Columns, **how: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink, **how)
    return sink.getvalue().to_pybytes()


WRITERS: dict[str, Callable[[Columns], bytes]] = {
    ".csv": lambda columns: separated(columns, ","),
    ".tsv": lambda columns: separated(columns, "\t", "\n", b"\xef\xbb\xbf"),
    ".jsonl": lambda columns: "\r\n".join(map(json.dumps, objects(columns))).encode(),
    ".ndjson": lambda columns: "\n".join(json.dumps(row, ensure_ascii=False) for row in objects(columns)).encode(),
    ".json": lambda columns: json.dumps(objects(columns), indent=2).encode(),
    ".parquet": parquet,
}

NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters=",;|"), min_size=1, max_size=8)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@st.composite
def tables(draw: Any) -> Columns:
    """Columns of texts; at least two, so that no cell alone makes a blank line."""
    names = draw(st.lists(NAMES, min_size=2, max_size=4, unique=True))
    rows = draw(st.integers(1, 6))
    return {name: draw(st.lists(CELLS, min_size=rows, max_size=rows)) for name in names}


@st.composite
def problems(draw: Any) -> Columns:
    """Something to learn: texts and labels, of one kind or mixed."""
    label = draw(
        st.sampled_from(
            [st.booleans(), st.integers(0, 2), st.sampled_from(["yes", "no", "NA", "-1", "1.0", "x\ud800"]), VALUES]
        )
    )
    rows = draw(st.integers(2, 12))
    text = draw(st.lists(st.one_of(CELLS, VALUES) if draw(st.booleans()) else CELLS, min_size=rows, max_size=rows))
    return {"text": text, "label": draw(st.lists(label, min_size=rows, max_size=rows))}


SINGLE = st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8)
VALUES = SINGLE | st.lists(SINGLE, max_size=3) | st.dictionaries(st.text(max_size=4), st.lists(SINGLE), max_size=3)


@st.composite
def spoiled(draw: Any, whole: bytes) -> bytes:
    """A whole file with a few places cut out, doubled, overwritten or put in."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        to = min(len(content), at + draw(st.integers(0, 40)))
        how = draw(st.sampled_from(["cut", "double", "nasty", "bytes", "end"]))
        if how == "cut":
            del content[at:to]
        elif how == "double":
            content[at:at] = content[at:to]
        elif how == "nasty":
            content[at:at] = draw(st.sampled_from(NASTY))
        elif how == "bytes":
            content[at:to] = draw(st.binary(max_size=12))
        else:
            del content[at:]
    return bytes(content)


# --- properties -------------------------------------------------------------------------------------


def loads(path: Path, counts: dict[str, int]) -> None:
    """A file is read whole, or refused with a place or a mend."""
    found = outcome(counts, lambda: load_dataset(DataSpec(source=str(path), split_seed=0)))
    if found is not None:
        assert len(found.train)
        told = [found.labels, found.notes, found.train.text, found.columns.text]
        json.dumps(told, ensure_ascii=False).encode()


def outcome(counts: dict[str, int], work: Callable[[], Any]) -> Any:
    """What comes out, or None where it is refused; anything but our own errors is let through."""
    try:
        found = work()
    except WelltunedError as error:
        refused = error
    else:
        count(counts, "read")
        return found
    assert refused.exit_code in (2, 3, 4)
    assert refused.where or refused.mend, refused.message
    refused.message.encode()
    count(counts, "refused")
    return None


@SOME
@pytest.mark.parametrize("suffix", READERS)
def test_what_was_written_is_read(suffix: str, examples: int, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"

    @tried(examples)
    @given(tables())
    def holds(columns: Columns) -> None:
        path.write_bytes(WRITERS[suffix](columns))
        assert read_table(path).columns == columns

    holds()


@SOME
@pytest.mark.parametrize("suffix", READERS)
def test_any_bytes(suffix: str, examples: int, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    with counted(f"any bytes {suffix}") as counts:

        @tried(examples)
        @given(st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(NASTY), max_size=8).map(b"".join)))
        def holds(content: bytes) -> None:
            path.write_bytes(content)
            loads(path, counts)

        holds()


@SOME
@pytest.mark.parametrize("suffix", READERS)
def test_spoiled_files(suffix: str, examples: int, tmp_path: Path) -> None:
    whole = {
        "question": [f"is it so {i}" for i in range(12)],
        "passage": [f'it, "is"\n so {i} é' for i in range(12)],
        "answer": ["yes", "no", "no"] * 4,
    }
    path = tmp_path / f"rows{suffix}"
    with counted(f"spoiled {suffix}") as counts:

        @tried(examples)
        @given(spoiled(WRITERS[suffix](whole)))
        def holds(content: bytes) -> None:
            path.write_bytes(content)
            loads(path, counts)

        holds()


@SOME
@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_values_of_any_kind(suffix: str, examples: int, tmp_path: Path) -> None:
    path = tmp_path / f"rows{suffix}"
    with counted(f"any values {suffix}") as counts:

        @tried(examples)
        @given(problems())
        def holds(columns: Columns) -> None:
            path.write_bytes(WRITERS[suffix](columns))
            loads(path, counts)

        holds()

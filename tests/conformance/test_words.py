"""What people type after an option: understood, or refused with the option's name and a way to write it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from welltuned import methods, plan
from welltuned.attention import experiments, numbers
from welltuned.attention.experiments import _base
from welltuned.cli import requests, rows
from welltuned.errors import WelltunedError
from welltuned.search import Search, space
from welltuned.spec import DataSpec, ModelSpec

SOME = pytest.mark.parametrize("examples", [100, pytest.param(4000, marks=pytest.mark.slow)])
VALUES = st.sampled_from(
    [
        "", "1", "0", "-1", "1e-4", "nan", "inf", "-inf", "1e999", "9" * 30, "9" * 5000, "true", "None", "linear",
        "a,b", "1..2", "-inf..5", "1e-5..1e-3", "..", "1..", "1..2..3", "0..0", "1...5", "-9..-1", "1e308..2e308", "٣",
        "½", "1_0", "0x10", "\0", "\ud800", "[" * 3000, '{"a":1}', "4GiB", "1e400GB", "query", "0,1;1,0", "0,1;1",
        " 1 ",
    ]
)  # fmt: skip
FIELDS = st.sampled_from(
    ["lr", "epochs", "rank", "length", "seed", "overfit", "layers", "heads", "", " ", "=", "schedule"]
)
WORDS = st.one_of(st.text(max_size=30), VALUES)


@st.composite
def expressions(draw: Any, names: list[str]) -> str:
    """NAME:FIELD=VALUE..., nearly right."""
    parts = [draw(st.one_of(st.sampled_from([*names, ""]), st.text(max_size=6)))]
    sign = st.sampled_from(["=", "=", "==", ""])
    parts += [draw(FIELDS) + draw(sign) + draw(WORDS) for _ in range(draw(st.integers(0, 3)))]
    return draw(st.sampled_from([":", ":", "::", ","])).join(parts)


def candidate_of(text: str) -> None:
    for one in plan.candidates(text, {"lr": None, "epochs": 2}):
        methods.build(one.method)
        one.run(DataSpec(source="x"), ModelSpec(name="x"), 0, _compute()).id  # noqa: B018


def _compute() -> Any:
    from welltuned.spec import ComputeSpec

    return ComputeSpec(device="cpu", precision="fp32")


def _search(grids: list[str], ranges: list[str]) -> None:
    base, varied = plan.candidate("lora", {}), space("lora", grids, ranges)
    searched = Search(DataSpec(source="x"), ModelSpec(name="x"), base, varied, trials=3, compute=_compute())
    asked = searched.proposals()[1]
    for _ in range(3):
        values = asked.ask()
        if values is None:
            break
        searched.candidate(values)
        asked.tell(0.5)


def _experiment(text: str) -> None:
    for name in experiments.names():
        kind = experiments.find(name)
        for field in [*numbers.entries(kind)][:3]:
            numbers.checked(kind, numbers.from_flags(kind, [f"--{field.replace('_', '-')}={text}"]))


PARSERS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "--methods": (expressions(list(methods.names())), candidate_of),
    "--grid": (st.builds(lambda field, values: [f"{field}={','.join(values)}"], FIELDS, st.lists(WORDS, max_size=4)),
               lambda texts: _search(texts, [])),
    "--range": (st.builds(lambda field, value: [f"{field}={value}"], FIELDS, WORDS), lambda texts: _search([], texts)),
    "--shape": (expressions(["bert", "roberta"]), plan.shape),
    "--seeds": (st.lists(WORDS, max_size=3).map(",".join), requests.seeds),
    "--memory-limit": (WORDS, requests.size),
    "--models": (st.lists(WORDS, max_size=3).map(",".join), lambda text: requests.names(text, "--models")),
    "flags of an experiment": (WORDS, _experiment),
}  # fmt: skip


def tried(examples: int) -> settings:
    return settings(
        max_examples=examples, derandomize=examples <= 100, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, *([Phase.shrink] if examples > 100 else [])],
    )  # fmt: skip


def told(work: Callable[[], Any]) -> None:
    """Nothing but our own errors, each short enough to be read and with a place or a mend."""
    try:
        work()
    except WelltunedError as error:
        refused = error
    else:
        return
    assert refused.exit_code in (2, 3)
    assert refused.where or refused.mend, refused.message
    assert len(refused.message) < 5000, refused.message[:300]


@SOME
@pytest.mark.parametrize("option", PARSERS)
def test_words(option: str, examples: int) -> None:
    words, parser = PARSERS[option]

    @tried(examples)
    @given(words)
    def holds(text: Any) -> None:
        told(lambda: parser(text))

    holds()


JSON = st.one_of(
    st.binary(max_size=40),
    st.dictionaries(
        st.sampled_from(["query", "keys", "values", "temperature", "x"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.integers() | st.lists(st.floats())), WORDS
        ),
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [b'{"query": ' + b"9" * 5000 + b"}", b"[" * 100_000, b'{"query":' * 100_000, b"\xff\xfe", b"", b"null"]
    ),
)  # fmt: skip


@SOME
def test_numbers_from_a_file(examples: int, tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    kinds = [experiments.find(name) for name in experiments.names()]

    @tried(examples)
    @given(JSON, st.sampled_from(kinds))
    def holds(content: bytes, kind: Any) -> None:
        path.write_bytes(content)
        told(lambda: _base.made(kind, numbers.from_file(path)))

    holds()


@SOME
def test_rows_on_stdin(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    record: Any = SimpleNamespace(takes_pairs=True, columns={"text": "question", "text_pair": "passage"})
    good, half = b'{"question": "a", "passage": "b"}\n', b'{"question": "\\ud800", "passage": "b"}\n'
    bad = [b'{"question": 1}\n', b'{"a":' * 50_000, b"{" + b"9" * 5000, b"{}\n", b"\xff\t\xfe\n", b"\0\t\0\n"]
    some = st.sampled_from([b"a\tb\n", b"a\n", b"\n", b"a\tb\r\n", good, half, *bad])
    lines = st.lists(some | st.binary(max_size=20), max_size=5).map(b"".join)

    @tried(examples)
    @given(lines)
    def holds(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
        found: list[Any] = []
        told(lambda: found.extend(rows.requested(record, None, None, Path("-"))))
        if found:
            assert len(found[0]) == len(found[1])
            "".join(found[0] + found[1]).encode()

    holds()

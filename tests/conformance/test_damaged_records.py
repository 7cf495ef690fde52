"""Records and stored arrays that were changed by hand or by a fault: judged again, or refused with their place."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from welltuned import report
from welltuned.cli import main
from welltuned.errors import WelltunedError
from welltuned.predicting import run_folder
from welltuned.recomputing import recompute

QUICK = ("--epochs", "1", "--max-length", "16", "--device", "cpu")
ASKED = {
    "train": ("--method", "head"),
    "compare": ("--methods", "head,prefix:length=4"),
    "search": ("--method", "head", "--grid", "lr=1e-3,1e-2"),
}
SOME = pytest.mark.parametrize("examples", [40, pytest.param(1500, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def finished(model_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of results of each kind."""
    home = tmp_path_factory.mktemp("finished")
    rows = [f"is it so {i},{'red sun' if i % 3 else 'blue ice'} {i},{'yes' if i % 3 else 'no'}" for i in range(60)]
    (home / "rows.csv").write_text("\n".join(["question,passage,answer", *rows]))
    for command, more in ASKED.items():
        words = [command, home / "rows.csv", "--model", model_folder("bert"), "--out", home / command, *more, *QUICK]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["welltuned", *map(str, words)])
            with pytest.raises(SystemExit) as left:
                main([str(word) for word in words])
        assert left.value.code == 0
    return {command: home / command for command in ASKED}


def read_all(folder: Path, draw: bool) -> None:
    """Whatever reads a folder of results without its model."""
    for work in (recompute, report.read, run_folder, *([report.render] if draw else [])):
        try:
            work(folder)
        except WelltunedError as error:
            refused = error
        else:
            continue
        assert refused.exit_code in (2, 3, 5), refused.message
        assert refused.where, refused.message


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for name, one in inner for place in places(one, (*at, name)))]


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([10**9, 10**30, -1.5, 0.5, 1e308]), st.floats(),
    st.sampled_from(["", "x", "../x", "head", "baseline", "\u2028", "a\0b"]), st.just([]), st.just({}),
)  # fmt: skip


@st.composite
def changes(draw: Any, document: Any) -> Any:
    """The document with one to three values replaced, left out, doubled or turned round."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.sampled_from(places(changed)[1:] or [()]))
        if not at:
            continue
        outer = changed
        for step in at[:-1]:
            outer = outer[step]
        last, how = at[-1], draw(st.sampled_from(["replace", "replace", "remove", "double", "empty", "swap"]))
        if how == "replace":
            outer[last] = draw(VALUES)
        elif how == "remove":
            del outer[last]
        elif how == "double" and isinstance(outer, list):
            outer.insert(last, outer[last])
        elif how == "empty":
            outer[last] = type(outer[last])() if outer[last] is not None else None
        elif how == "swap" and isinstance(outer, list):
            outer.reverse()
    return changed


def tried(examples: int) -> settings:
    return settings(
        max_examples=examples, derandomize=examples <= 60, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, *([Phase.shrink] if examples > 60 else [])],
    )  # fmt: skip


def copied(folder: Path, to: Path) -> Path:
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("model", "figures", "report.html"))
    return to


@SOME
@pytest.mark.parametrize("command", ASKED)
def test_changed_records(command: str, examples: int, finished: dict[str, Path], tmp_path: Path) -> None:
    folder = copied(finished[command], tmp_path / command)
    records = sorted(path for path in folder.rglob("*.json") if path.name in ("record.json", "results.json"))
    whole = {path: path.read_text() for path in records}

    @tried(examples)
    @given(st.data())
    def holds(data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(records))
        path.write_text(json.dumps(data.draw(changes(json.loads(whole[path])))))
        try:
            read_all(folder, draw=examples > 60)
        finally:
            path.write_text(whole[path])

    holds()


ARRAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "fewer rows": lambda array: array[:-1],
    "no rows": lambda array: array[:0],
    "one axis more": lambda array: array[None],
    "one axis less": lambda array: array.reshape(-1),
    "no axis": lambda array: np.zeros((), array.dtype),
    "turned": lambda array: array.T,
    "one column": lambda array: array[..., :1],
    "a column more": lambda array: np.concatenate([array, array[..., :1]], axis=-1),
    "not a number": lambda array: np.full(array.shape, np.nan, np.float32),
    "infinite": lambda array: np.full(array.shape, np.inf, np.float32),
    "half precision": lambda array: array.astype(np.float16),
    "whole numbers": lambda array: array.astype(np.int32),
    "bytes": lambda array: array.astype(np.uint8),
    "truth": lambda array: array.astype(bool),
    "negative": lambda array: np.full(array.shape, -1, np.int64),
    "huge": lambda array: np.full(array.shape, 2**62, np.int64),
    "huge reals": lambda array: np.full(array.shape, 1e38, np.float32),
    "complex": lambda array: array.astype(np.complex64),
}


@pytest.mark.parametrize("how", ARRAYS)
@pytest.mark.parametrize("command", ["train", "compare"])
def test_arrays_that_are_not_what_they_should_be(
    command: str, how: str, finished: dict[str, Path], tmp_path: Path
) -> None:
    folder = copied(finished[command], tmp_path / command)
    for path in sorted(folder.rglob("*.safetensors")):
        whole = load_file(path)
        for name, array in whole.items():
            try:
                save_file({**whole, name: np.ascontiguousarray(ARRAYS[how](array))}, path)
            except (ValueError, KeyError, TypeError):  # such an array cannot be made or stored
                continue
            read_all(folder, draw=False)
        save_file({name: array for name, array in whole.items() if name != next(iter(whole))}, path)
        read_all(folder, draw=False)
        save_file(whole, path)
    assert recompute(folder).differences == []

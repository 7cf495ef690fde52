from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from welltuned import record
from welltuned.errors import DataError, ResourceError, UsageError
from welltuned.record import (
    TableRow,
    Truncation,
    installed_versions,
    processor_name,
    read_arrays,
    read_comparison,
    read_run,
    require_replaceable,
    write_arrays,
    write_bytes,
    write_json,
)


def test_a_crash_while_writing_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.json"
    write_bytes(path, b"old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            if step == "fsync":
                patch.setattr(record.files.os, "fsync", crash)
            else:
                patch.setattr(record.files.Path, "replace", crash)
            with pytest.raises(KeyboardInterrupt):
                write_bytes(path, b"new")
        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_full_disk_is_a_resource_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.files.os, "fsync", full)
    with pytest.raises(ResourceError, match="No space left on device") as error:
        write_bytes(tmp_path / "file", b"new")
    assert str(tmp_path) in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ResourceError, match=r"cannot write record\.json"):
        write_json(tmp_path / "out" / "record.json", {})


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "deep" / "file", b"")
        assert (tmp_path / "deep" / "file").stat().st_mode & 0o777 == 0o640
        assert os.umask(0o027) == 0o027, "the umask was changed"
    finally:
        os.umask(before)


def test_json_is_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "Größe", "n": 1})
    assert (tmp_path / "a.json").read_text("utf-8") == '{\n  "name": "Größe",\n  "n": 1\n}\n'


def test_arrays_round_trip(tmp_path: Path) -> None:
    arrays = {"logits": np.arange(12, dtype=np.float32).reshape(3, 4).T, "labels": np.array([1, 0], np.int64)}
    write_arrays(tmp_path / "a.safetensors", arrays)
    again = read_arrays(tmp_path / "a.safetensors")
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        assert np.array_equal(again[name], array)


def test_damaged_arrays(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="stored arrays"):
        read_arrays(tmp_path / "none.safetensors")
    write_arrays(tmp_path / "a.safetensors", {"a": np.zeros(100)})
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:50])
    with pytest.raises(DataError, match="stored arrays") as error:
        read_arrays(tmp_path / "a.safetensors")
    assert "a.safetensors" in str(error.value)


@pytest.mark.parametrize(("read", "name"), [(read_run, "record.json"), (read_comparison, "results.json")])
def test_records_that_cannot_be_read(read, name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"no {name} to read"):
        read(tmp_path)
    for content in ("", "{", "[]", "{}", json.dumps({"schema_version": 1, "surprise": 2})):
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match="damaged or from another version") as error:
            read(tmp_path)
        assert str(tmp_path / name) in str(error.value)


def test_shares() -> None:
    assert Truncation(rows=8, cut=2).share == 0.25
    assert Truncation(rows=0, cut=0).share == 0
    row = TableRow(name="lora", kind="method", trained_parameters=5, all_parameters=100)
    assert row.share == 0.05
    assert TableRow(name="majority", kind="baseline").share is None


def test_versions_and_processor() -> None:
    import torch

    assert installed_versions()["torch"] == torch.__version__
    assert processor_name()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    with record.whole_folder(folder) as draft:
        (draft / "a").write_text("old")
        assert not folder.exists()
    with pytest.raises(KeyboardInterrupt), record.whole_folder(folder):
        raise KeyboardInterrupt
    assert (folder / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    (tmp_path / ".made.killed").mkdir()
    with record.whole_folder(folder) as draft:
        (draft / "b").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["b"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


@pytest.mark.parametrize("ours", [False, True])
def test_only_what_is_ours_may_be_replaced(ours: bool, tmp_path: Path) -> None:
    require_replaceable(tmp_path / "new", ours)
    require_replaceable(tmp_path, ours)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="this is a file"):
        require_replaceable(tmp_path / "file", ours)
    if ours:
        require_replaceable(tmp_path, ours)
        return
    with pytest.raises(UsageError, match="holds something else") as refused:
        require_replaceable(tmp_path, ours)
    assert refused.value.why
    assert refused.value.mend


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot write the folder"), record.whole_folder(tmp_path / "file" / "made"):
        pass


def test_drafts_of_killed_processes_go_and_those_of_others_stay(tmp_path: Path) -> None:
    path, gone = tmp_path / "a.json", subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, alive, other = (
        tmp_path / name for name in (f".a.json.{gone.pid}.x1", f".a.json.{os.getpid()}.x2", f".b.json.{gone.pid}.x3")
    )
    for one in (dead, alive, other):
        one.write_text("half")
    write_bytes(path, b"whole")
    assert (dead.exists(), alive.exists(), other.exists()) == (False, True, True)
    assert path.read_bytes() == b"whole"

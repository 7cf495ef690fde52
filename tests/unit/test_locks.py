"""One command at a time in a folder, tried with real processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from welltuned.errors import ResourceError
from welltuned.record import alone
from welltuned.record.locks import LOCK

HOLD = """
import sys, time
from pathlib import Path
from welltuned.record.locks import alone
with alone(Path(sys.argv[1]), beside=sys.argv[2:] == ["beside"]):
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys, time
from pathlib import Path
from welltuned.errors import ResourceError
from welltuned.record.locks import alone
folder, turns, wait = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "wait"
for _ in range(turns):
    try:
        with alone(folder, wait=wait):
            busy = folder / "busy"
            busy.touch(exist_ok=False)
            path = folder / "count"
            number = int(path.read_text()) if path.exists() else 0
            time.sleep(0.002 if wait else 0.3)
            path.write_text(str(number + 1))
            busy.unlink()
    except ResourceError as error:
        print(error.message)
        sys.exit(error.exit_code)
"""


def started(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def holder(folder: Path, *more: str) -> subprocess.Popen[str]:
    process = started(HOLD, folder, *more)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_second_is_refused_and_told_by_whom(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first = holder(folder)
    try:
        with pytest.raises(ResourceError, match="another command works in this folder") as refused, alone(folder):
            pytest.fail("two at once")
        assert refused.value.exit_code == 4
        assert refused.value.where == str(folder)
        assert f"process {first.pid} on this machine, since 2" in refused.value.message
        assert "--wait" in refused.value.message
    finally:
        killed(first)


def test_a_killed_holder_blocks_nobody_and_leaves_no_file(tmp_path: Path) -> None:
    for more in ((), ("beside",)):
        folder = tmp_path / "-".join(["out", *more])
        lock = tmp_path / f"{LOCK}-{folder.name}" if more else folder / LOCK
        killed(holder(folder, *more))
        assert lock.exists(), "SIGKILL leaves the file, not the lock"
        with alone(folder, beside=bool(more)):
            assert json.loads(lock.read_text())["pid"] == os.getpid()
        assert not lock.exists()


def test_waiting_ends_with_the_holder_and_is_told_once(tmp_path: Path) -> None:
    first = holder(tmp_path)
    said: list[str] = []
    killer = threading.Timer(0.5, killed, [first])
    killer.start()
    with alone(tmp_path, wait=True, say=said.append):
        assert first.poll() is not None
    killer.join()
    assert len(said) == 1
    assert said[0].startswith(f"waiting for process {first.pid} on this machine, since 2")
    assert said[0].endswith(f": it works in {tmp_path}")


def test_ten_who_wait_come_one_after_another(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    processes = [started(COUNT, folder, 10, "wait") for _ in range(10)]
    for process in processes:
        _, complaints = process.communicate()
        assert process.returncode == 0, complaints
    assert (folder / "count").read_text() == "100", "no turn was lost to another"
    assert sorted(path.name for path in folder.iterdir()) == ["count"]


def test_of_ten_who_do_not_wait_one_at_a_time_goes_in(tmp_path: Path) -> None:
    processes = [started(COUNT, tmp_path, 1, "leave") for _ in range(10)]
    told = [(process.communicate()[0], process.returncode) for process in processes]
    codes = [code for _, code in told]
    assert set(codes) <= {0, 4}, told
    assert int((tmp_path / "count").read_text()) == codes.count(0) >= 1
    assert all("another command works in this folder" in said for said, code in told if code == 4)


def test_a_killed_holder_among_ten(tmp_path: Path) -> None:
    """Holders that are killed in mid-work, while others wait, lose their own turn and nobody else's."""
    waiting = [started(COUNT, tmp_path, 5, "wait") for _ in range(5)]
    for _ in range(5):
        doomed = started(HOLD, tmp_path)
        time.sleep(0.2)
        killed(doomed)
    assert [process.wait() for process in waiting] == [0] * 5
    for process in waiting:
        process.communicate()
    assert (tmp_path / "count").read_text() == "25"


def test_an_inner_block_is_let_through_and_another_thread_is_not(tmp_path: Path) -> None:
    found: list[str] = []

    def enter() -> None:
        try:
            with alone(tmp_path):
                found.append("in")
        except ResourceError as error:
            found.append(error.message)

    with alone(tmp_path), alone(tmp_path / ".." / tmp_path.name):
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
    assert "another thread of this process" in found[0]
    enter()
    assert found[1] == "in"


def test_a_folder_that_was_made_in_vain_goes(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), alone(tmp_path / "runs" / "out"):
        raise ZeroDivisionError
    assert not (tmp_path / "runs").exists()
    with alone(tmp_path / "runs" / "out"):
        (tmp_path / "runs" / "out" / "results.json").touch()
    assert [path.name for path in (tmp_path / "runs" / "out").iterdir()] == ["results.json"]


def test_a_folder_that_vanishes_is_not_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with alone(folder):
        (folder / LOCK).unlink()
        folder.rmdir()
    assert not folder.exists()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO])
def test_a_file_system_without_locks_is_told(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    said: list[str] = []
    with alone(tmp_path, say=said.append):
        assert said == [
            f"{tmp_path} keeps no locks ({os.strerror(number)}): nothing will notice if the same command is started "
            "there twice"
        ]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_who_may_not_write_is_let_through_to_read(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with alone(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


def test_a_reader_without_permission_still_sees_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = holder(tmp_path), os.open

    def read_only(path: Any, flags: int, *more: Any) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, flags, *more)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", read_only)
            with pytest.raises(ResourceError, match=f"process {first.pid}"), alone(tmp_path):
                pytest.fail("two at once")
    finally:
        killed(first)


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(ResourceError, match="No space left"), alone(tmp_path):
            pytest.fail("no lock was taken")


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_file_is_neither_followed_nor_waited_for(kind: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    folder = tmp_path / "out"
    folder.mkdir()
    lock = folder / LOCK
    {"link": lambda: lock.symlink_to(victim), "pipe": lambda: os.mkfifo(lock), "folder": lock.mkdir}[kind]()
    with pytest.raises(ResourceError, match="something else than a file"), alone(folder):
        pytest.fail("no lock was taken")
    assert victim.read_text() == "kept"

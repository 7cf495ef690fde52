"""One command at a time in a folder of results.

The lock is the kernel's (``flock``) on a small file in the folder, so it ends with the process that holds it, however
that ends: what SIGKILL leaves behind is an unlocked file that the next command takes over. On a network folder that
keeps locks it holds between machines too.

A second command is refused at once, with the holder's process, machine and time, and waits only if it was asked to: a
training may take hours, and a terminal that stands still that long looks broken.

The file is hidden, says who holds the lock for the message alone, and goes with its holder; nothing reads it as a
result.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from welltuned.errors import ResourceError
from welltuned.record.files import ROOM

try:
    import fcntl
except ImportError:  # a system without it is told as one that keeps no locks
    fcntl = None  # type: ignore[assignment]

LOCK = ".lock"
MOST = 4096
"""Bytes that are read of a lock file."""
FIRST, SLOWEST = 0.05, 1.0
"""Seconds between two looks at a lock that another holds: at first, and after a while."""
_MAY_NOT = (errno.EACCES, errno.EPERM, errno.EROFS)
_inside: ContextVar[frozenset[Path]] = ContextVar("_inside", default=frozenset())


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    pid: int
    host: str
    since: str

    @property
    def told(self) -> str:
        """In words, from where this process stands."""
        here = self.host == socket.gethostname()
        if here and self.pid == os.getpid():
            return f"another thread of this process, since {self.since}"
        return f"process {self.pid} on {'this machine' if here else self.host}, since {self.since}"


def _silent(_: str) -> None:
    """Say nothing."""


@contextmanager
def alone(
    folder: Path, wait: bool = False, say: Callable[[str], None] = _silent, beside: bool = False
) -> Iterator[None]:
    """Work in a folder of results while no other process does; the folder is made if it is not there.

    A block inside a block of the same folder and thread is let through. Whoever may not write in the folder is let
    through too: there is nothing that it could spoil, and its first write says why it cannot. Where the file system
    keeps no locks, that is said, and the work goes on.

    Args:
        wait: wait for the other to end, instead of refusing.
        say: is told for whom the wait is, and of a file system without locks.
        beside: keep the lock file beside the folder, for a folder that is replaced as a whole.

    Raises:
        ResourceError: another process works there; or the disk is full or fails.
    """
    whole = Path(os.path.realpath(folder))
    if whole in _inside.get():
        yield
        return
    home, name = (whole.parent, f"{LOCK}-{whole.name}") if beside else (whole, LOCK)
    made = _made(home)
    try:
        handle = _waited(home / name, folder, wait, say)
        token = _inside.set(_inside.get() | {whole})
        try:
            yield
        finally:
            _inside.reset(token)
            _let_go(handle, home / name)
    finally:
        with suppress(OSError):  # a folder that was made in vain goes; one with results in it stays
            for one in made:
                one.rmdir()


def _made(folder: Path) -> list[Path]:
    """Make a folder where that is allowed; those that had to be made, the innermost first."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _waited(lock: Path, folder: Path, wait: bool, say: Callable[[str], None]) -> int | None:
    """An open, locked file; None where there can be none."""
    pause, last = FIRST, ""
    while True:
        try:
            return _taken(lock, say)
        except BlockingIOError:
            holder = _holder(lock)
        told = holder.told if holder else "another process, which does not say who it is"
        if not wait:
            raise _refused(folder, told)
        if told != last:
            say(f"waiting for {told}: it works in {folder}")
            last = told
        time.sleep(pause)
        pause = min(2 * pause, SLOWEST)


def _taken(lock: Path, say: Callable[[str], None]) -> int | None:
    """An open, locked file; None where there can be none.

    Raises:
        BlockingIOError: another holds the lock.
        ResourceError: the disk is full or fails.
    """
    while True:
        try:
            handle = _opened(lock)
        except FileNotFoundError:
            if not _made_again(lock.parent):
                return None
            continue
        except OSError as error:
            if error.errno in _MAY_NOT:
                return None
            raise _unlockable(lock, error) from error
        try:
            if _is_locked(handle, lock):
                return handle
        except BlockingIOError:
            os.close(handle)
            raise
        except OSError as error:
            os.close(handle)
            say(
                f"{lock.parent} keeps no locks ({error.strerror}): nothing will notice if the same command is started "
                "there twice"
            )
            return None
        os.close(handle)


def _opened(lock: Path) -> int:
    """To read and write, or where that is not allowed to read; no link is followed, no pipe waited for."""
    careful = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | careful, 0o666)
    except OSError as error:
        if error.errno not in _MAY_NOT or not lock.exists():
            raise
        handle = os.open(lock, os.O_RDONLY | careful)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    return handle


def _is_locked(handle: int, lock: Path) -> bool:
    """Lock an open file and sign it; False where its last holder has taken it away meanwhile.

    Raises:
        BlockingIOError: another holds the lock.
        OSError: the file system, or the system, keeps no locks.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if not _is_file_at(handle, lock):
        return False
    _sign(handle)
    return True


def _made_again(folder: Path) -> bool:
    """Whether a folder is there, or could be made; another may have taken it away as it was empty."""
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder.is_dir()


def _is_file_at(handle: int, lock: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), lock.lstat())
    except OSError:
        return False


def _sign(handle: int) -> None:
    """Say who holds the lock; where the disk is full, nobody learns of it."""
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(Holder(os.getpid(), socket.gethostname(), since))).encode(), 0)


def _let_go(handle: int | None, lock: Path) -> None:
    if handle is None:
        return
    with suppress(OSError):
        if _is_file_at(handle, lock):
            lock.unlink()
    os.close(handle)


def _holder(lock: Path) -> Holder | None:
    """Who signed a lock file, given a moment to do so."""
    for _ in range(5):
        try:
            with lock.open("rb") as file:
                said = json.loads(file.read(MOST))
            return Holder(int(said["pid"]), str(said["host"]), str(said["since"]))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            time.sleep(FIRST)
    return None


def _refused(folder: Path, told: str) -> ResourceError:
    return ResourceError(
        "another command works in this folder",
        where=str(folder),
        why=f"it is {told}; two at once would mix their results",
        mend="run the same command again when it has ended (what is finished is then read), let it wait with --wait, "
        "or choose another --out folder",
    )


def _unlockable(lock: Path, error: OSError) -> ResourceError:
    if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
        why = "something else than a file stands under this name"
        return ResourceError(f"cannot lock {lock.name}", where=str(lock), why=why, mend="remove it")
    return ResourceError(
        f"cannot write {lock.name}", where=str(lock.parent), why=error.strerror or str(error), mend=ROOM
    )

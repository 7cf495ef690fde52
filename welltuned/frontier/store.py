"""Constant activations on disk, memory-mapped: shared by epochs, trials, seeds, methods and processes.

An entry is a folder named by its key, with ``values.bin`` (float32, row by row) and ``entry.json``. It is written
beside its place and moved there whole, so that of two writers one wins and both go on, and a killed one leaves only a
draft, which the next sweeps away. The content's SHA-256 is checked when an entry is opened; one that is damaged is
computed anew. The whole is held within a bound; what was used longest ago goes first.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from welltuned.addresses import cache_folder
from welltuned.errors import DataError
from welltuned.opening import parsed

Floats = NDArray[np.float32]
LIMIT = 4 << 30
"""Bytes that the store may take unless the user says otherwise."""
VALUES, ENTRY = "values.bin", "entry.json"


@dataclass(frozen=True)
class Kept:
    """Values [n, d] that were computed once, and the seconds that it took."""

    values: Floats
    seconds: float


class Store:
    """The entries below a folder.

    Args:
        folder: by default in the user's cache.
        limit: bytes in all; 0 keeps nothing on disk.
        say: told when an entry is damaged.
    """

    def __init__(
        self, folder: Path | None = None, limit: int = LIMIT, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder = folder or cache_folder() / "activations"
        self.limit, self._say = limit, say

    def fits(self, shape: tuple[int, int]) -> bool:
        """Whether values of this shape may be kept at all."""
        return 4 * shape[0] * shape[1] <= self.limit

    def find(self, key: str, shape: tuple[int, int]) -> Kept | None:
        """The entry of a key, whole and checked; None where there is none. A damaged one is thrown away."""
        place = self.folder / key
        if not place.exists():
            return None
        try:
            told = parsed(place / ENTRY)
            values = np.memmap(place / VALUES, np.float32, mode="r", shape=shape)
            sound = told["shape"] == list(shape) and _size(place / VALUES) == values.nbytes
            sound = sound and told["sha256"] == _digest(values)
            seconds = float(told["seconds"])
        except (OSError, ValueError, KeyError, TypeError, DataError):
            sound = False
        if not sound:
            self._say("kept activations were damaged; they are computed anew")
            shutil.rmtree(place, ignore_errors=True)
            return None
        with contextlib.suppress(OSError):  # last use, for when room is needed
            os.utime(place)
        return Kept(values, seconds)

    def make(self, key: str, shape: tuple[int, int], fill: Callable[[Floats], float]) -> Kept:
        """Compute an entry and keep it if there is room; without room, or a disk that takes it, in main memory.

        Args:
            fill: writes the values [n, d] and returns the seconds that it took.
        """
        try:
            with self._draft(key, shape) as draft:
                written = np.memmap(draft / VALUES, np.float32, mode="r+", shape=shape)
                seconds = fill(written)
                written.flush()
                told = {"shape": list(shape), "sha256": _digest(written), "seconds": seconds}
                (draft / ENTRY).write_text(json.dumps(told))
                _settle(draft, self.folder / key)
        except OSError:
            values: Floats = np.empty(shape, np.float32)
            return Kept(values, fill(values))
        return self.find(key, shape) or Kept(written, seconds)

    @contextmanager
    def _draft(self, key: str, shape: tuple[int, int]) -> Iterator[Path]:
        """A folder to write into, held by a lock as long as its writer lives.

        Raises:
            OSError: there is no room for it.
        """
        size = 4 * shape[0] * shape[1]
        self._make_room(size)
        draft = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".{key[:12]}."))
        try:
            with (draft / VALUES).open("wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk shows now, not as a signal at a page
                yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _make_room(self, size: int) -> None:
        """Sweep away what dead writers left, then the entries used longest ago.

        Raises:
            OSError: more than the bound is asked for, or the folder cannot be made.
        """
        if not 0 < size <= self.limit:
            raise OSError("larger than the bound")
        self.folder.mkdir(parents=True, exist_ok=True)
        places = [place for place in self.folder.iterdir() if place.is_dir()]
        for place in places:
            if place.name.startswith(".") and _is_abandoned(place / VALUES):
                shutil.rmtree(place, ignore_errors=True)
        entries = sorted((place for place in places if not place.name.startswith(".")), key=_last_use)
        sizes = {place: _size(place / VALUES) for place in entries}
        while entries and sum(sizes[place] for place in entries) + size > self.limit:
            shutil.rmtree(entries.pop(0), ignore_errors=True)  # whoever has it mapped keeps it


def _settle(draft: Path, place: Path) -> None:
    """Give a whole draft its name; where another writer was quicker, its entry stays."""
    for name in (VALUES, ENTRY):
        with (draft / name).open("rb") as file:
            os.fsync(file.fileno())
    with contextlib.suppress(OSError):
        draft.rename(place)


def _is_abandoned(values: Path) -> bool:
    """Whether no living process holds the draft of these values."""
    try:
        with values.open("rb") as file:
            return not _is_held(file)
    except OSError:
        return False


def _is_held(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def _last_use(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(values: Floats) -> str:
    return hashlib.sha256(values.data).hexdigest() if values.size else hashlib.sha256().hexdigest()

"""Checkpoints on disk: written beside their place, hashed, and moved there whole; read only as they were written.

Files of a run's ``checkpoint`` folder, a subfolder for each of the newest steps::

    STEP-KEY/state.safetensors   the tensors of a :class:`~welltuned.checkpoints.State`
    STEP-KEY/state.json          its numbers, and of which training they are
    STEP-KEY/manifest.json       SHA-256 and size of both, written last

A step is there when its folder has been renamed into place; files, draft and folder have reached the disk before and
after it. A process that is killed leaves a draft at most, whose name begins with a dot.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from welltuned.checkpoints.identity import Identity
from welltuned.checkpoints.state import State
from welltuned.errors import DataError, ResourceError
from welltuned.opening import parsed, require_as_written, write_manifest
from welltuned.record import GO_ON

CHECKPOINTS = "checkpoint"
TENSORS, NUMBERS = "state.safetensors", "state.json"


class Store:
    """The checkpoints of one training.

    Args:
        folder: holds them, and nothing else.
        identity: of the training.
        limit: how many are kept.
        say: is told of checkpoints that are passed over.
    """

    def __init__(self, folder: Path, identity: Identity, limit: int, say: Callable[[str], None]) -> None:
        self.folder, self.identity, self._limit, self._say = folder, identity, limit, say
        self._damaged: set[Path] = set()

    @property
    def has_any(self) -> bool:
        """Whether there are checkpoints of this training, be they as they were written or not."""
        return bool(self._own())

    def write(self, state: State) -> None:
        """Leave a checkpoint; older ones above the limit, and damaged ones, go when it is on the disk.

        Raises:
            ResourceError: the disk is full or the folder may not be written; the older ones stay as they are.
        """
        target = self.folder / f"{state.numbers['step']:08d}-{self.identity.key}"
        draft = self.folder / f".{target.name}.draft"
        with _told(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            try:
                self._fill(draft, state)
                _remove(target)
                draft.replace(target)
                _reach_disk(self.folder)
            except BaseException:
                shutil.rmtree(draft, ignore_errors=True)
                raise
        self._damaged.discard(target)
        for one in [*self._damaged, *[one for one in self._own() if one not in self._damaged][self._limit :]]:
            _remove(one)
        self._damaged.clear()

    def _fill(self, draft: Path, state: State) -> None:
        draft.mkdir()
        save_file({name: one.cpu().contiguous() for name, one in state.tensors.items()}, draft / TENSORS)
        told = {"of": self.identity.told, "numbers": state.numbers}
        (draft / NUMBERS).write_text(json.dumps(told), encoding="utf-8")
        (draft / TENSORS).chmod((draft / NUMBERS).stat().st_mode)  # as the user's mask has it
        write_manifest(draft)
        for path in draft.iterdir():
            _reach_disk(path)
        _reach_disk(draft)

    def newest(self) -> State | None:
        """The newest checkpoint of this training that is as it was written; others are told of and passed over."""
        own = self._own()
        self._tell_foreign(own)
        for folder in own:
            if folder in self._damaged:
                continue
            try:
                return self._read(folder)
            except (OSError, DataError, SafetensorError, KeyError, TypeError) as error:
                self._damaged.add(folder)
                why = error.message if isinstance(error, DataError) else f"{folder}: {error}"
                self._say(f"warning: the checkpoint at step {_step(folder):,} is damaged and passed over. {why}")
        return None

    def _read(self, folder: Path) -> State:
        require_as_written(folder)
        told: dict[str, Any] = parsed(folder / NUMBERS)
        others = self.identity.others(told["of"])
        if others:
            raise DataError("this is a checkpoint of another training", where=str(folder), why=f"{others} differ")
        elsewhere = self.identity.elsewhere(told["of"])
        if elsewhere:
            self._say(f"warning: the checkpoint was made with {elsewhere}: the last bits of what follows may differ")
        return State(load_file(folder / TENSORS), told["numbers"])

    def _tell_foreign(self, own: list[Path]) -> None:
        for folder in sorted(_folders(self.folder)):
            if folder in own:
                continue
            try:
                others = self.identity.others(parsed(folder / NUMBERS)["of"])
            except (OSError, DataError, KeyError, TypeError, AttributeError):
                others = "what it is of cannot be read, and the name"
            self._say(f"the checkpoint {folder} is not used: it is of another training ({others} differ)")

    def _own(self) -> list[Path]:
        """Folders of this training's checkpoints, the newest first."""
        return sorted(
            (one for one in _folders(self.folder) if one.name.endswith(f"-{self.identity.key}")), reverse=True
        )

    def _sweep(self) -> None:
        """Clear away what a killed process left."""
        for leftover in self.folder.glob(".*"):
            shutil.rmtree(leftover, ignore_errors=True)


def forget_checkpoints(run: Path) -> None:
    """Remove all checkpoints of a run's folder, once its record is there."""
    shutil.rmtree(run / CHECKPOINTS, ignore_errors=True)


def _folders(folder: Path) -> list[Path]:
    return [one for one in folder.glob("[0-9]*-*") if one.is_dir()]


def _step(folder: Path) -> int:
    return int(folder.name.partition("-")[0])


def _remove(folder: Path) -> None:
    """Take a checkpoint away so that a half-removed one never stands in its place."""
    if folder.exists():
        gone = folder.with_name(f".{folder.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        folder.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _reach_disk(path: Path) -> None:
    """Let a file or the entries of a folder reach the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise ResourceError(
            "cannot write a checkpoint",
            where=str(folder),
            why=getattr(error, "strerror", None) or str(error),
            mend=f"make room, or give yourself permission to write there; {GO_ON}, from the checkpoint before",
        ) from error

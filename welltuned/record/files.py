"""How records reach the disk whole, and come back checked."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from welltuned.errors import DataError, ResourceError, UsageError
from welltuned.opening import bounded, parsed, require_regular
from welltuned.record.comparison import ComparisonRecord
from welltuned.record.run import RunRecord

Array = NDArray[Any]
ANEW = "run the same command again to make it anew"
GO_ON = "then the same command goes on, and finished runs are kept"
ROOM = f"choose another --out folder, make room, or give yourself permission to write there; {GO_ON}"
_Record = TypeVar("_Record", bound=BaseModel)


def default_folder(command: str, data: str, identity: str) -> Path:
    """Where a command's results go unless a folder is named: the same command finds them again."""
    name = data.rstrip("/").rsplit("/", 1)[-1].replace("builtin:", "").split(".")[0].split(":")[0] or "data"
    return Path("runs") / f"{command}-{name}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part; drafts of killed processes go.

    Raises:
        ResourceError: the disk is full, the folder is gone or may not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{os.getpid()}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).chmod(0o666 & ~_umask())
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
        _sweep(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _sweep(path: Path) -> None:
    """Remove drafts of a file whose processes are no more."""
    for draft in path.parent.glob(f".{glob.escape(path.name)}.*.*"):
        number = draft.name.removeprefix(f".{path.name}.").partition(".")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            draft.unlink(missing_ok=True)


def require_writable(folder: Path) -> None:
    """Make a folder and make sure, before long work, that files can be written there.

    Raises:
        ResourceError: the disk is full, or the folder may not be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe.") as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        raise _unwritable(folder, error) from error


def require_room(folder: Path, needed: int) -> None:
    """Make sure, before long work, that the disk of a folder has so many bytes left for it.

    A quota of yours may be smaller than what the disk has left; it shows when it is met.

    Raises:
        ResourceError: it has not.
    """
    place = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ResourceError(
            f"the results take {needed / 1e6:,.0f} MB, and the disk has {free / 1e6:,.0f} MB left",
            where=str(folder),
            why="models, answers and records of the runs that are still to be done would fill it",
            mend=f"make room or choose another --out folder; {GO_ON}",
        )


def require_there(folder: Path) -> None:
    """Make sure that a folder which was made before long work is still there.

    Raises:
        ResourceError: it is gone; to make it anew could fill another disk than the one that was meant.
    """
    if not folder.is_dir():
        raise ResourceError(
            "the folder of the results is gone",
            where=str(folder),
            why="it was removed, or its disk was taken away, while the run went on",
            mend=f"bring it back, or choose another --out folder; {GO_ON}",
        )


def require_replaceable(folder: Path, ours: bool) -> None:
    """Make sure, before work, that what stands where :func:`whole_folder` will write may go.

    Args:
        ours: whether it is known to be what the same command left there.

    Raises:
        UsageError: something else stands there.
    """
    there = folder.exists()
    if not there or (folder.is_dir() and (ours or not any(folder.iterdir()))):
        return
    held = "this folder holds something else" if folder.is_dir() else "this is a file, not a folder"
    raise UsageError(
        held,
        where=str(folder),
        why="the new folder takes the place of the old one, and what is there now would be lost",
        mend="name a new folder, or move away what is there",
    )


def _unwritable(path: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"cannot write {path.name}", where=str(path.parent), why=error.strerror or str(error), mend=ROOM
    )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A folder to write into, which takes the place of ``folder`` when the block ends without an error.

    A reader sees the old folder or the new, never a part; what a killed process left is cleared away.

    Raises:
        ResourceError: the disk is full, or the folder may not be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for leftover in folder.parent.glob(f".{folder.name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            yield draft
            draft.chmod(0o755)
            if folder.exists():
                shutil.rmtree(folder)
            draft.replace(folder)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except Exception as error:
        if not _of_the_disk(error):
            raise
        raise ResourceError(
            f"cannot write the folder {folder.name}",
            where=str(folder),
            why=getattr(error, "strerror", None) or str(error),
            mend=ROOM,
        ) from error


def _of_the_disk(error: Exception) -> bool:
    """Whether writing failed; the tokenizers library says so by a bare exception."""
    return isinstance(error, OSError | SafetensorError) or (type(error) is Exception and "os error" in str(error))


def write_json(path: Path, content: BaseModel | Mapping[str, Any]) -> None:
    """Write a model or mapping as indented UTF-8 JSON, atomically."""
    plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
    write_bytes(path, (json.dumps(plain, indent=2, ensure_ascii=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays as safetensors, atomically."""
    write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def read_arrays(path: Path, *needed: str) -> dict[str, Array]:
    """Read named arrays written by :func:`write_arrays`.

    Args:
        needed: names that must be among them.

    Raises:
        DataError: the file is missing or damaged, or lacks a needed array.
    """
    try:
        require_regular(path)
        found = load_file(path)
    except (OSError, SafetensorError, AttributeError) as error:  # the last for a type that numpy lacks
        raise DataError(
            "cannot read the stored arrays",
            where=str(path),
            why=str(error),
            mend=ANEW,
        ) from error
    if missing := [name for name in needed if name not in found]:
        raise DataError(f"there is no array {missing[0]!r}", where=str(path), why="it was not stored here", mend=ANEW)
    return found


def read_run(folder: Path) -> RunRecord:
    """Read ``record.json`` of a run folder.

    Raises:
        DataError: there is no complete run in the folder, or its record is damaged or of another schema.
    """
    return read_record(folder / "record.json", RunRecord)


def read_comparison(folder: Path) -> ComparisonRecord:
    """Read ``results.json`` of a comparison folder; errors as in :func:`read_run`."""
    return read_record(folder / "results.json", ComparisonRecord)


def read_record(path: Path, kind: type[_Record]) -> _Record:
    """Read one file that must hold a record of this kind; errors as in :func:`read_run`."""
    try:
        return kind.model_validate_json(bounded(path))
    except OSError as error:
        raise DataError(
            f"no {path.name} to read",
            where=str(path.parent),
            why=error.strerror,
            mend="name the folder that a finished welltuned command wrote",
        ) from error
    except ValidationError as error:
        raise DataError(
            f"{path.name} is damaged or from another version of Welltuned",
            where=str(path),
            why=str(error.errors(include_url=False)[0]["msg"]),
            mend=ANEW,
        ) from error


@contextmanager
def consistent(folder: Path) -> Iterator[None]:
    """Tell of records and arrays that are each well formed and contradict one another, which shows as they are used.

    Raises:
        DataError: what was found in the folder cannot be used together.
    """
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            "the records in this folder contradict one another",
            where=str(folder),
            why=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no more is known'}",
            mend=ANEW,
        ) from error


def results_kind(folder: Path) -> str | None:
    """Which kind of record ``results.json`` of a folder says it is; None where there is none that can be read."""
    try:
        found = parsed(folder / "results.json")
    except (OSError, DataError):
        return None
    return str(found.get("kind", "comparison")) if isinstance(found, dict) else None

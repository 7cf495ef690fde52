"""Which files may be read: regular ones that lie where their folder was named."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from welltuned.errors import DataError


def require_regular(path: Path, root: Path | None = None) -> None:
    """Refuse anything but a regular file that lies, links followed, below ``root`` (else below its own folder).

    The files of a Hub snapshot are links to the blobs of the same cached repository; these are let through.

    Raises:
        OSError: there is nothing under this name.
        DataError: a link that leaves the folder, a pipe, a device, a folder.
    """
    root = (root or path.parent).resolve()
    if path.is_symlink() or not path.parent.resolve().is_relative_to(root):
        target = Path(os.path.realpath(path))
        if not any(target.is_relative_to(home) for home in (root, *_blobs(root))):
            raise DataError(
                f"{path.name} is a link that leaves its folder",
                where=str(path),
                why=f"it leads to {target}, and a folder from elsewhere could make any file be read in this way",
                mend="copy the file itself into the folder, if you know it",
            )
    if not stat.S_ISREG(path.stat().st_mode):
        raise DataError(
            f"{path.name} is no regular file",
            where=str(path),
            why="a pipe or a device may never end, and a folder has no content",
            mend="put the file itself there",
        )


def _blobs(root: Path) -> list[Path]:
    """Where the content of a Hub snapshot lies: models--OWNER--NAME/blobs beside models--OWNER--NAME/snapshots."""
    snapshots = root.parent
    cached = snapshots.name == "snapshots" and snapshots.parent.name.startswith("models--")
    return [snapshots.parent / "blobs"] if cached else []


def below(folder: Path, name: str) -> Path:
    """The entry of a folder that a record names.

    Raises:
        DataError: the name would lead elsewhere.
    """
    if name in ("", ".", "..") or "\0" in name or Path(name).name != name or "\\" in name:
        raise DataError(
            f"{name!r} is no name of something in this folder",
            where=str(folder),
            why="a path in a record may not lead out of the folder that the record lies in",
            mend="make the record anew with the command that it names",
        )
    return folder / name

"""SHA-256 and size of every file of a model folder, written when it is saved and held against it when it is opened.

A manifest tells of damage, not of intent: who can change the files can change it too.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from welltuned.errors import DataError
from welltuned.opening.documents import parsed
from welltuned.opening.files import require_regular

MANIFEST = "manifest.json"
SCHEMA = 1
_READ = (
    ".json", ".safetensors", ".txt", ".model", ".jinja", ".py",
    ".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".h5", ".msgpack", ".gguf",
)  # fmt: skip
"""A file of another kind beside the model (a README, a licence) is nobody's input and may be added."""


def write_manifest(folder: Path) -> None:
    """Write ``manifest.json`` over all files that lie in the folder."""
    files = {name: _told(path) for name, path in sorted(_files(folder).items())}
    (folder / MANIFEST).write_text(_text(files), encoding="utf-8")


def require_as_written(folder: Path) -> None:
    """Refuse a folder whose files are not those of its manifest.

    Raises:
        OSError: there is no manifest.
        DataError: a file is missing, surplus, cut or changed; the first such is named.
    """
    manifest = folder / MANIFEST
    told, there = _entries(manifest), _files(folder)
    for name, (size, digest) in told.items():
        if name not in there:
            raise _differs(folder / name, "is missing", f"{MANIFEST} names it")
        require_regular(there[name], folder)
        found = there[name].stat().st_size
        if found != size:
            raise _differs(folder / name, "is not as it was written", f"it has {found:,} bytes instead of {size:,}")
        if _sha256(there[name]) != digest:
            raise _differs(folder / name, "is not as it was written", f"its SHA-256 is not that in {MANIFEST}")
    surplus = sorted(name for name in there.keys() - told.keys() if name.lower().endswith(_READ))
    if surplus:
        raise _differs(folder / surplus[0], "does not belong here", f"{MANIFEST} does not name it")


def _entries(manifest: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 by name; the manifest must be byte for byte as :func:`write_manifest` writes it."""
    document: Any = parsed(manifest)
    files = document.get("files") if isinstance(document, dict) else None
    if not isinstance(files, dict) or manifest.read_text(encoding="utf-8") != _text(files):
        raise _differs(manifest, "is damaged", f"it is no manifest of schema {SCHEMA}")
    if not all(map(_is_entry, files.values())):
        raise _differs(manifest, "is damaged", "a file stands in it without its size and SHA-256")
    return {name: (one["bytes"], one["sha256"]) for name, one in files.items()}


def _text(files: dict[str, Any]) -> str:
    return json.dumps({"schema_version": SCHEMA, "files": files}, indent=2) + "\n"


def _is_entry(one: Any) -> bool:
    return isinstance(one, dict) and one.keys() == {"bytes", "sha256"} and isinstance(one["bytes"], int)


def _told(path: Path) -> dict[str, Any]:
    return {"sha256": _sha256(path), "bytes": path.stat().st_size}


def _files(folder: Path) -> dict[str, Path]:
    """Everything below the folder that is no folder, but the manifest; links to folders are not followed."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {name: path for name, path in found.items() if name != MANIFEST and (path.is_symlink() or not path.is_dir())}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _differs(path: Path, what: str, why: str) -> DataError:
    return DataError(
        f"{path.name} {what}",
        where=str(path),
        why=why,
        mend="copy the folder anew, whole, or make it again with the command that made it",
    )

"""Safetensors from elsewhere: the header is read and held against the file; no tensor is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from welltuned.errors import DataError
from welltuned.opening.files import require_regular


def shapes_of(path: Path, root: Path | None = None) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor by name.

    The library refuses a header that is longer than 100 MB or than the file, that is not JSON, whose offsets leave the
    file, overlap, leave a hole, or do not agree with shape and type; and bytes behind the last tensor. It takes a name
    that stands there twice, so that is refused here.

    Raises:
        OSError: there is no such file.
        DataError: the header does not agree with the file.
    """
    require_regular(path, root)
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        with path.open("rb") as file:
            json.loads(file.read(int.from_bytes(file.read(8), "little")), object_pairs_hook=_unique)
    except (SafetensorError, ValueError) as error:
        raise DataError(
            f"{path.name} is not a whole safetensors file",
            where=str(path),
            why=str(error),
            mend="fetch or write the file anew, whole",
        ) from error
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)} stands twice in its header")
    return dict(pairs)

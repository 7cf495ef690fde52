"""JSON from elsewhere: of a bounded size, number of parts and depth, and without a wish to run code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from welltuned.errors import DataError, UsageError
from welltuned.opening.files import require_regular

MOST_BYTES = 64 << 20
"""The largest tokenizers of encoders known to us take 34 MB."""
MOST_CONTAINERS = 2_000_000
MOST_PARTS = 8_000_000
"""Objects and arrays, and what commas part: each takes some 60 bytes once it is parsed."""
DEEPEST = 64


def bounded(path: Path, root: Path | None = None) -> bytes:
    """The content of a JSON file that cannot exhaust memory when it is parsed.

    Raises:
        OSError: there is no such file.
        DataError: no regular file, a link that leaves the folder, too large, or of too many parts.
    """
    require_regular(path, root)
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _too_much(path, f"it has more than {MOST_BYTES >> 20} MiB")
    if content.count(b"[") + content.count(b"{") > MOST_CONTAINERS or content.count(b",") > MOST_PARTS:
        raise _too_much(path, f"it has more than {MOST_CONTAINERS:,} objects and arrays, or {MOST_PARTS:,} parts")
    return content


def parsed(path: Path, root: Path | None = None) -> Any:
    """What a bounded JSON file says.

    Raises:
        OSError: there is no such file.
        DataError: as for :func:`bounded`; or it is not JSON, or nested too deep.
    """
    try:
        found = json.loads(bounded(path, root))
    except RecursionError as error:
        raise _too_deep(path) from error
    except ValueError as error:
        raise DataError(
            f"{path.name} is not JSON", where=str(path), why=str(error), mend="fetch or write the file anew, whole"
        ) from error
    level = [found]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _parts(outer)]
        if not level:
            return found
    raise _too_deep(path)


def _parts(value: Any) -> Iterator[Any]:
    """The objects and arrays directly in a value."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in inside if isinstance(one, dict | list))


def require_no_code(document: Any, path: Path) -> None:
    """Refuse a config that names code to be run.

    Raises:
        UsageError: it has an ``auto_map``, at whatever depth.
    """
    level = [document]
    while level:
        if any(isinstance(one, dict) and "auto_map" in one for one in level):
            raise UsageError(
                f"{path.parent.name} wants to run code of its own (auto_map in {path.name})",
                where=str(path),
                why="Welltuned runs no code that comes with a model",
                mend="choose a model of a stock architecture",
            )
        level = [inner for outer in level for inner in _parts(outer)]


def _too_much(path: Path, why: str) -> DataError:
    return DataError(
        f"{path.name} is too large to be what it should be",
        where=str(path),
        why=f"{why}, which would take the machine's memory",
        mend="take the file from a source that you know",
    )


def _too_deep(path: Path) -> DataError:
    return DataError(
        f"{path.name} is nested too deep",
        where=str(path),
        why=f"no config, tokenizer or record has more than {DEEPEST} levels",
        mend="take the file from a source that you know",
    )

"""From parsed options to validated specs, with errors that name the option."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ByteSize, TypeAdapter, ValidationError

from welltuned.errors import UsageError
from welltuned.record import default_folder
from welltuned.spec import without_home

_Spec = TypeVar("_Spec", bound=BaseModel)


def spec(kind: type[_Spec], **values: Any) -> _Spec:
    """A spec from option values.

    Raises:
        UsageError: a value that the spec refuses, under its option's name.
    """
    try:
        return kind(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else None
        raise UsageError(f"{first['input']!r} cannot be used here", where=option, why=first["msg"]) from error


def seeds(text: str) -> list[int]:
    """``0,1,2`` as numbers.

    Raises:
        UsageError: not a list of different whole numbers from 0 on.
    """
    try:
        found = [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise UsageError(f"{text!r} is no list of seeds", where="--seeds", mend="write 0,1,2") from error
    if not found or min(found) < 0 or len(set(found)) < len(found):
        raise UsageError("seeds must be different whole numbers from 0 on", where="--seeds", mend="write 0,1,2")
    return found


def names(text: str, option: str) -> list[str]:
    """``a,b`` as names.

    Raises:
        UsageError: no name, or one twice.
    """
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found or len(set(found)) < len(found):
        raise UsageError(f"{text!r} is no list of different names", where=option, mend="write NAME,NAME")
    return found


def limits(memory_limit: str | None, cache_limit: str) -> dict[str, Any]:
    """What a command may take of memory and, for what is computed once, of the disk; errors as in :func:`size`."""
    cache = 0 if cache_limit.strip() == "0" else size(cache_limit, "--cache-limit")
    return {"memory_limit": size(memory_limit), "cache_limit": cache}


def size(text: str | None, option: str = "--memory-limit") -> int | None:
    """``4GiB`` or ``800MB`` in bytes.

    Raises:
        UsageError: not a size above zero.
    """
    if text is None:
        return None
    try:
        found = int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        found = 0
    if found <= 0:
        what = "memory" if option == "--memory-limit" else "room"
        raise UsageError(f"{text!r} is no amount of {what}", where=option, mend="write 4GiB or 800MB")
    return found


def folder(out: Path | None, command: str, data: str, identity: str) -> Path:
    """The folder of results: as asked, or one that the same command finds again."""
    if out is not None:
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out} is a file, not a folder", where="--out")
        return out
    return default_folder(command, data, identity)


def command_line() -> str:
    """What was typed, without the folders that the program and its user have for themselves."""
    return without_home(shlex.join(["welltuned", *sys.argv[1:]]))

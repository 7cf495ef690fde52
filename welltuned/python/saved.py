"""A fitted classifier on disk: its run folder, and beside the record what only Python knows. No pickle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from welltuned.record import read_record, require_replaceable, whole_folder, write_json
from welltuned.record.schema import SCHEMA, Schema

FILE = "classifier.json"
_KINDS = {"b": "bool", "i": "int", "u": "int", "f": "float", "U": "str", "T": "str", "O": "object"}


class Saved(Schema):
    """``classifier.json``: the parameters, the classes in their own type, and the columns that were read."""

    schema_version: int = SCHEMA
    parameters: dict[str, Any]
    classes: list[bool] | list[int] | list[float] | list[str]
    kind: Literal["bool", "int", "float", "str", "object"]
    names: list[str]
    named: bool

    def known(self) -> NDArray[Any]:
        """[C] the classes as they were in ``y``."""
        kind: Any = {"bool": bool, "int": np.int64, "float": np.float64, "str": np.str_, "object": object}[self.kind]
        return np.array([kind(one) if self.kind != "object" else one for one in self.classes], dtype=kind)


def told(classes: NDArray[Any], parameters: dict[str, Any], names: tuple[str, ...], named: bool) -> Saved:
    """What is kept of a fitted classifier beside its run."""
    kind: Any = _KINDS[classes.dtype.kind]
    return Saved(parameters=parameters, classes=classes.tolist(), kind=kind, names=list(names), named=named)


def save(run: Path, folder: Path, told: Saved) -> None:
    """Copy a run folder, and write ``classifier.json`` into the copy; it is there whole or not at all.

    Raises:
        UsageError: the folder holds something else.
        ResourceError: it cannot be written.
    """
    require_replaceable(folder, (folder / FILE).is_file())
    with whole_folder(folder) as draft:
        shutil.copytree(run, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        write_json(draft / FILE, told)


def read(folder: Path) -> Saved | None:
    """What ``classifier.json`` says, or None where a command made the run.

    Raises:
        DataError: the file is damaged.
    """
    return read_record(folder / FILE, Saved) if (folder / FILE).is_file() else None

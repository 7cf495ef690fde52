"""Stored answers and labels as they come back: what is not what it should be is found here, not in the statistics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from welltuned.errors import DataError
from welltuned.record.files import ANEW, read_arrays

LARGEST = 1e30
"""No logit is larger; products of such numbers would leave float64."""


def read_answers(path: Path, classes: int, rows: Mapping[str, int], *needed: str) -> dict[str, NDArray[Any]]:
    """Read labels [N] (``SPLIT.labels``) and answers [N, C] (all others) of dev and test.

    Args:
        classes: C, as the record says.
        rows: N by split, as the record says; a split that it does not name is not checked.
        needed: names that must be among them.

    Raises:
        DataError: the file is missing or damaged, or holds an array of another kind or shape than the record says.
    """
    found = read_arrays(path, *needed)
    for name, array in found.items():
        split = next((part for part in name.split(".") if part in rows), None)
        shape = (len(array) if array.ndim else 0,) if split is None else (rows[split],)
        wrong = _wrong_labels(array, classes, shape) if name.endswith(".labels") else _wrong(array, (*shape, classes))
        if wrong:
            raise DataError(
                f"the array {name!r} is not what it should be", where=str(path), why=f"it {wrong}", mend=ANEW
            )
    return found


def _wrong_labels(array: NDArray[Any], classes: int, shape: tuple[int, ...]) -> str | None:
    if array.dtype != np.int64 or array.shape != shape or not len(array):
        return _unlike("int64", shape, array)
    if array.min() < 0 or array.max() >= classes:
        return f"holds {array.min()} to {array.max()}, and the record names {classes} classes"
    return None


def _wrong(array: NDArray[Any], shape: tuple[int, ...]) -> str | None:
    if array.dtype not in (np.float32, np.float64) or array.shape != shape or not array.size:
        return _unlike("float32 or float64", shape, array)
    if not np.isfinite(array).all() or np.abs(array).max() > LARGEST:
        return f"holds numbers that are not finite, or larger than {LARGEST:g}"
    return None


def _unlike(kind: str, shape: tuple[int, ...], array: NDArray[Any]) -> str:
    return f"is {array.dtype} of shape {list(array.shape)}, and should be {kind} of shape {list(shape)}"

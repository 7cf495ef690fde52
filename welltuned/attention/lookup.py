"""One query put to a table of keys and values: the input of the single-query demonstrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from welltuned.attention import numbers as checks
from welltuned.attention.result import Result
from welltuned.errors import UsageError

_REQUIRED = ("query", "keys", "values")
_SHAPE = '{"query": [1, 0], "keys": [[1, 0], [0, 1]], "values": [[5], [7]], "temperature": 1.0}'


@dataclass(frozen=True, eq=False)
class Lookup(Result):
    """A question to a table. Make one with :func:`of`, which checks every number.

    Attributes:
        query: [h] what is looked for.
        keys: [n, h] what each row of the table is found by.
        values: [n, d] what each row holds.
        temperature: T >= 0; scores are divided by it before the softmax, and 0 stands for argmax.
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    temperature: float = 1.0


def of(numbers: Mapping[str, Any], *, where: str = "lookup") -> Lookup:
    """A checked Lookup, float64, from lists of numbers under the names of its attributes.

    Args:
        numbers: query, keys, values and, if not 1, temperature.
        where: what error messages name as the place.

    Raises:
        UsageError: a field is missing, unknown, empty, ragged, not finite, or does not fit another.
    """
    _check_names(numbers, where)
    query = checks.as_vector(numbers["query"], f"{where}: query")
    keys = checks.as_matrix(numbers["keys"], f"{where}: keys")
    values = checks.as_matrix(numbers["values"], f"{where}: values")
    temperature = checks.as_number(numbers.get("temperature", 1.0), f"{where}: temperature")
    if temperature < 0:
        raise UsageError(
            f"the temperature is {temperature:g}",
            where=f"{where}: temperature",
            mend="give a number above 0, or 0 for argmax",
        )
    _check_sizes(query, keys, values, where)
    tensors = [torch.tensor(part, dtype=torch.float64) for part in (query, keys, values)]
    return Lookup(tensors[0], tensors[1], tensors[2], temperature)


def example() -> Lookup:
    """Four keys with scores 3, 1, 1 and -3 for the query, so that argmax returns (3, 2, -4)."""
    return of(
        {
            "query": [-2, 1, 1],
            "keys": [[0, 1, 2], [1, 1, 2], [-1, 1, -2], [0, -1, -2]],
            "values": [[3, 2, -4], [3, -2, 4], [3, 2, 0], [3, 2, 4]],
        }
    )


def _check_names(numbers: Mapping[str, Any], where: str) -> None:
    missing = [name for name in _REQUIRED if name not in numbers]
    unknown = sorted(set(numbers) - {*_REQUIRED, "temperature"})
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}", where=where, mend=f"write it like {_SHAPE}")
    if unknown:
        raise UsageError(
            f"unknown: {', '.join(unknown)}", where=where, mend="known are query, keys, values and temperature"
        )


def _check_sizes(query: checks.Vector, keys: checks.Matrix, values: checks.Matrix, where: str) -> None:
    if len(keys[0]) != len(query):
        raise UsageError(
            f"the query has {len(query)} numbers and a key has {len(keys[0])}",
            where=where,
            why="a score is their dot product",
            mend="give both the same length",
        )
    if len(keys) != len(values):
        raise UsageError(
            f"there are {len(keys)} keys and {len(values)} values", where=where, mend="give one value to each key"
        )

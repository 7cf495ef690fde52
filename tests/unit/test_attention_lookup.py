import math

import pytest
import torch

from welltuned.attention import lookup
from welltuned.errors import UsageError

GOOD = {"query": [1, 0], "keys": [[1, 0], [0, 1]], "values": [[5.5], [7]], "temperature": 0.5}


def test_numbers_become_float64_and_come_back():
    table = lookup.of(GOOD)
    assert table.query.dtype == table.keys.dtype == table.values.dtype == torch.float64
    assert table.to_dict() == GOOD


def test_temperature_is_one_unless_given():
    assert lookup.of({name: GOOD[name] for name in ("query", "keys", "values")}).temperature == 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": None}, "query: expected a list of numbers"),
        ({"query": []}, "query: expected a list of numbers"),
        ({"query": [1, 0, 0]}, "the query has 3 numbers and a key has 2"),
        ({"query": [1, True]}, r"query\[1\]: expected a number, got True"),
        ({"query": [1, "2"]}, r"query\[1\]: expected a number, got '2'"),
        ({"query": [1, math.nan]}, r"query\[1\]: the number is too large"),
        ({"query": [1, 10**400]}, r"query\[1\]: the number is too large"),
        ({"keys": []}, "keys: expected a list of rows"),
        ({"keys": [[1, 0], [1]]}, "keys: row 1 has 1 numbers, row 0 has 2"),
        ({"keys": [[1, 0]]}, "there are 1 keys and 2 values"),
        ({"values": [5, 7]}, r"values\[0\]: expected a list of numbers"),
        ({"values": [[5], [math.inf]]}, r"values\[1\]\[0\]: the number is too large"),
        ({"temperature": -1}, "temperature: the temperature is -1"),
        ({"temperature": None}, "temperature: expected a number, got None"),
        ({"keys": [[1e200, 0], [0, 1]]}, r"keys\[0\]\[0\]: the number is too large or too close to 0"),
        ({"tempreature": 1}, "unknown: tempreature"),
    ],
)
def test_wrong_numbers_are_refused_with_their_place(change, message):
    with pytest.raises(UsageError, match=message):
        lookup.of(GOOD | change)


def test_missing_fields_are_named():
    with pytest.raises(UsageError, match="missing: keys, values"):
        lookup.of({"query": [1]})

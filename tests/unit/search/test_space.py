from __future__ import annotations

import pytest

from welltuned import methods
from welltuned.errors import UsageError
from welltuned.methods._base import Choice, Range
from welltuned.search.space import space, told


def test_words_become_choices_and_ranges() -> None:
    found = space("lora", ["lr=1e-4, 5e-4", "targets=query,query+value"], ["rank=2..32", "weight-decay=0..0.1"])
    assert found == {
        "lr": Choice(("1e-4", "5e-4")),
        "targets": Choice(("query", "query+value")),
        "rank": Range(2, 32, log=True, whole=True),
        "weight_decay": Range(0, 0.1),
    }
    assert told(found["lr"]) == "1e-4, 5e-4"
    assert told(found["rank"]) == "2 to 32, on a logarithmic scale"
    assert told(found["weight_decay"]) == "0 to 0.1"


@pytest.mark.parametrize("name", methods.names())
def test_without_words_the_methods_own(name: str) -> None:
    assert space(name, [], []) == dict(methods.find(name).search_space) != {}


@pytest.mark.parametrize(
    ("grids", "ranges", "match"),
    [
        (["lr"], [], "no list"),
        (["lr=1,1"], [], "different values"),
        (["lr=1", "lr=2"], [], "named twice"),
        (["lr=1"], ["lr=1..2"], "named twice"),
        ([], ["lr=2..1"], "no range"),
        ([], ["lr=1"], "no range"),
        ([], ["lr=0..inf"], "no range"),
        ([], ["lr=a..b"], "no range"),
    ],
)
def test_what_cannot_be_read_is_refused(grids: list[str], ranges: list[str], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        space("lora", grids, ranges)

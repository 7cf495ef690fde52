from __future__ import annotations

from typing import Any

import pytest

from welltuned.methods._base import Choice, Range
from welltuned.record import SearchTrial
from welltuned.search.advice import edges


def trial(number: int, best_epoch: int = 1, **values: Any) -> SearchTrial:
    return SearchTrial(number=number, values=values, runs=[], dev=0.5, best_epochs=[best_epoch])


@pytest.mark.parametrize(
    ("chosen", "said"),
    [(0, ["lr 0.1 is the smallest that was tried: a smaller one may be better"]), (1, []),
     (2, ["lr 0.9 is the largest that was tried: a larger one may be better"])],
)  # fmt: skip
def test_an_edge_of_a_list_is_told(chosen: int, said: list[str]) -> None:
    trials = [trial(at, lr=lr) for at, lr in enumerate((0.1, 0.5, 0.9))]
    assert edges({"lr": Choice(("0.1", "0.5", "0.9"))}, trials[chosen], trials) == said


def test_more_epochs_are_advised_only_where_the_last_one_was_best() -> None:
    space = {"epochs": Choice(("3", "9"))}
    for best, said in ((9, 1), (5, 0)):
        trials = [trial(0, 3, epochs=3), trial(1, best, epochs=9)]
        assert len(edges(space, trials[1], trials)) == said
    assert not edges(space, trials[0], trials), "fewer epochs than the best need no advice"


def test_names_and_ranges_have_no_edge() -> None:
    trials = [trial(0, init="a", lr=0.1), trial(1, init="b", lr=0.2)]
    assert not edges({"init": Choice(("a", "b")), "lr": Range(0.1, 0.2)}, trials[0], trials)

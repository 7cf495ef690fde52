from __future__ import annotations

from typing import Any

import pytest

from welltuned.errors import UsageError
from welltuned.methods._base import Choice, Range
from welltuned.search.proposals import Grid, Sampled, proposals

SPACE = {"lr": Range(1e-4, 1e-2, log=True), "rank": Range(2, 16, log=True, whole=True), "init": Choice(("a", "b"))}


def suggested(one: Sampled, score: Any = lambda values: -abs(values["lr"] - 1e-3)) -> list[dict[str, Any]]:
    found = []
    while (values := one.ask()) is not None:
        found.append(values)
        one.tell(score(values))
    return found


def test_a_grid_is_every_combination_once() -> None:
    grid = Grid({"lr": Choice(("1e-4", "5e-4")), "epochs": Choice((7, 9))})
    points = []
    while (point := grid.ask()) is not None:
        points.append(point)
        grid.tell(0.5)
    assert points == [{"lr": lr, "epochs": epochs} for lr in ("1e-4", "5e-4") for epochs in (7, 9)]
    assert grid.total == 4


def test_a_mixed_grid_has_the_same_points() -> None:
    space = {"lr": Choice(tuple(range(10)))}
    mixed = Grid(space, mixed_by=0).coming
    assert mixed != Grid(space).coming
    assert sorted(values["lr"] for values in mixed) == list(range(10))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_suggestions_follow_from_the_seed_and_the_scores(sampler: str) -> None:
    first = suggested(Sampled(SPACE, sampler, 15, 3))
    assert first == suggested(Sampled(SPACE, sampler, 15, 3))
    assert first != suggested(Sampled(SPACE, sampler, 15, 4))
    assert len(first) == 15 == len({tuple(values.values()) for values in first})
    for values in first:
        assert 1e-4 <= values["lr"] <= 1e-2
        assert values["lr"] == float(f"{values['lr']:.3g}")
        assert values["rank"] in range(2, 17)
        assert values["init"] in ("a", "b")


def test_tpe_learns_where_scores_are_high() -> None:
    def best(values: dict[str, Any]) -> float:
        return -abs(values["lr"] - 1e-3)

    space = {"lr": Range(1e-5, 1e-1, log=True)}
    tpe, drawn = (suggested(Sampled(space, sampler, 40, 0), best)[20:] for sampler in ("tpe", "random"))
    assert sum(map(best, tpe)) > sum(map(best, drawn))


def test_failed_trials_are_told_and_a_small_space_ends() -> None:
    assert len(suggested(Sampled({"init": Choice(("a", "b", "c"))}, "random", 12, 0), lambda values: None)) == 3


def test_a_sampler_is_chosen_by_what_the_space_is() -> None:
    listed = {"lr": Choice(("1e-4",))}
    assert proposals(listed, None, None, 0)[0] == "grid"
    assert proposals(listed, None, 5, 0)[0] == "tpe"
    assert proposals(SPACE, None, None, 0)[0] == "tpe"
    assert proposals(SPACE, "random", None, 0)[1].total == 12
    for space, sampler, trials, match in (
        (SPACE, "grid", None, "cannot hold the range of lr"),
        (SPACE, "bayes", None, "no sampler 'bayes'"),
        (listed, "grid", 4, "tries every point"),
    ):
        with pytest.raises(UsageError, match=match):
            proposals(space, sampler, trials, 0)

"""Every number of every experiment becomes a control whose values the experiment takes."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest

from welltuned.app.sliders import Control, controls, given
from welltuned.attention import experiments, numbers
from welltuned.attention.experiments._base import made

NAMES = experiments.names()


def values(found: list[Control]) -> list[Any]:
    """What stands in the controls at first."""
    return [value for one in found for value in ([scale.value for scale in one.scales] or [one.value])]


@pytest.mark.parametrize("name", NAMES)
def test_controls_as_they_stand_are_the_defaults(name: str) -> None:
    kind = experiments.find(name)
    assert made(kind, given(kind, values(controls(kind)))) == kind()
    assert [one.name for one in controls(kind)] == [one.name for one in fields(kind)]


@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_every_slider_are_taken_and_the_default_is_a_stop(name: str) -> None:
    kind = experiments.find(name)
    for one in controls(kind):
        entry = numbers.entries(kind)[one.name]
        for scale in one.scales:
            assert scale.low < scale.high
            stops = (scale.value - scale.low) / scale.step
            assert math.isclose(stops, round(stops), abs_tol=1e-6), (one.name, scale)
            for end in (scale.low, scale.high):
                at = int(end) if one.whole else end
                entry.check([at] * len(one.scales) if one.many else at, one.name)


def test_every_bounded_number_has_a_slider_within_its_bounds() -> None:
    copying = {one.name: one for one in controls(experiments.find("copying"))}
    assert copying["temperature"].scales[0].low == 0
    assert copying["eps"].scales[0].low > 0
    assert copying["trials"].scales[0].low == 1
    assert len(copying["query"].scales) == 3
    assert not copying["keys"].scales
    assert copying["keys"].value == "0,1,2\n1,1,2\n-1,1,-2\n0,-1,-2"
    assert {one.name: one.value for one in controls(experiments.find("averaging"))}["scaled"] is False


def test_what_is_left_empty_is_the_default_and_rows_stand_one_a_line() -> None:
    kind = experiments.find("copying")
    found = given(kind, [1.0, 2, 3, "1,2,3\n\n4,5,6", "", 0.5, "", 0.01, "2,4", 7.0, 0])
    assert found["query"][0] == [1.0, 2, 3]
    assert found["keys"][0] == [[1, 2, 3], [4, 5, 6]]
    assert found["trials"][0] == 7
    assert isinstance(found["trials"][0], int)
    assert "values" not in found
    assert "target" not in found

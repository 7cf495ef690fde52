import math

import pytest

from welltuned.record import Score
from welltuned.report import format


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(0.7124, 1, "71.2%"), (0.0, 1, "0.0%"), (0.00003, 2, "<0.01%"), (1.0, 2, "100.00%"), (None, 1, "n/a")],
)
def test_percent(share, digits, text):
    assert format.percent(share, digits) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (1538, "1,538"), (109_483_778, "109,483,778"), (None, "n/a")])
def test_count(number, text):
    assert format.count(number) == text


@pytest.mark.parametrize(
    ("number", "text"), [(950, "950"), (1538, "1.54k"), (22_713_986, "22.7M"), (3e9, "3B"), (0, "0")]
)
def test_compact(number, text):
    assert format.compact(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 B"), (1023, "1,023 B"), (1024, "1.0 KiB"), (5 * 1024**3, "5.0 GiB"), (2000 * 1024**4, "2000.0 TiB")],
)
def test_size(number, text):
    assert format.size(number) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (4.24, "4.2 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (184, "3 min 04 s"), (3599.7, "1 h 00 min"),
        (3720, "1 h 02 min"), (math.nan, "n/a"), (None, "n/a"),
    ],
)  # fmt: skip
def test_duration(time, text):
    assert format.duration(time) == text


@pytest.mark.parametrize(("time", "text"), [(12.44, "12.4"), (99.96, "100"), (1234.4, "1,234"), (None, "n/a")])
def test_seconds(time, text):
    assert format.seconds(time) == text


@pytest.mark.parametrize(
    ("difference", "text"), [(0.012, "+1.2"), (-0.012, "−1.2"), (-0.0001, "0.0"), (math.nan, "n/a")]
)
def test_points(difference, text):
    assert format.points(difference) == text


@pytest.mark.parametrize(("p", "text"), [(0.0, "<0.001"), (0.0123, "0.012"), (1.0, "1.000"), (None, "n/a")])
def test_p_value_is_never_zero(p, text):
    assert format.p_value(p) == text


def test_interval_and_level():
    score = Score(accuracy=0.7, low=0.681, high=0.719, level=0.9)
    assert (format.interval(score), format.level(score)) == ("68.1 to 71.9", "90%")
    assert (format.interval(None), format.level(None)) == ("n/a", "95%")


@pytest.mark.parametrize(("number", "text"), [(5 * 1024**2, "5.0"), (1234 * 1024**2, "1,234"), (None, "n/a")])
def test_mebibytes(number, text):
    assert format.mebibytes(number) == text

"""What docs/statistics.md promises, measured by the functions of benchmarks/coverage.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from welltuned.stats.simulation import Method

SCRIPT = Path(__file__).resolve().parents[3] / "benchmarks" / "coverage.py"
EXPERIMENTS = 2000

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("coverage_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("sd", [0.005, 0.010, 0.015])
@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("n", [200, 1000, 3270])
def test_95_percent_intervals_cover_93_to_97(bench, n, seeds, sd):
    methods = [Method(0.82, sd), Method(0.80, sd)]
    found = bench.coverage_cell(methods, seeds, n, 2 * EXPERIMENTS)["difference"]
    # Three seeds on 200 items cover 97% within the error of the simulation, two of which are allowed.
    error = (found * (1 - found) / (2 * EXPERIMENTS)) ** 0.5
    assert 0.93 <= found <= 0.97 + 2 * error


@pytest.mark.parametrize(("seeds", "sd"), [(1, 0.0), (3, 0.005), (3, 0.01), (3, 0.015), (5, 0.005), (5, 0.015)])
@pytest.mark.parametrize("n", [200, 1000, 3270])
def test_four_equal_methods_rarely_beat_each_other(bench, n, seeds, sd):
    cell = bench.family_cell([Method(0.80, sd)] * 4, seeds, n, 2 * EXPERIMENTS)
    assert cell["false_claim"] <= 0.05


def test_without_correction_they_would(bench):
    assert bench.family_cell([Method(0.80, 0.01)] * 4, 3, 3270, EXPERIMENTS)["uncorrected"] > 0.10


@pytest.mark.parametrize(("seeds", "sd"), [(1, 0.0), (3, 0.005), (3, 0.015), (5, 0.005), (5, 0.015)])
def test_power_is_as_promised_within_3_points(bench, seeds, sd):
    for cell in bench.power_cell(3270, seeds, sd, 0.03, EXPERIMENTS):
        assert cell["found"] == pytest.approx(cell["promised"], abs=0.03)


@pytest.mark.parametrize(("seeds", "sd"), [(1, 0.0), (3, 0.005), (3, 0.01), (5, 0.01)])
def test_a_difference_as_large_as_the_margin_rarely_passes_for_equivalent(bench, seeds, sd):
    # The level at the margin is 5% itself, so the share found scatters about it: two standard errors.
    assert bench.margin_cell(3270, seeds, sd, EXPERIMENTS)["equivalent"] <= 0.06


def test_a_bootstrap_over_three_seeds_does_not_cover(bench):
    cell = bench.coverage_cell([Method(0.82, 0.01), Method(0.80, 0.01)], 3, 3270, EXPERIMENTS)
    assert cell["bootstrap over seeds"] < 0.85

"""Made-up records for the tests of the report."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_records import METHODS, make_comparison, make_run, make_search, write_comparison, write_run

from welltuned.record import ComparisonRecord, RunRecord, SearchRecord


@pytest.fixture
def comparison() -> ComparisonRecord:
    return make_comparison()


@pytest.fixture
def runs() -> dict[str, RunRecord]:
    made = [make_run(method, seed) for method in METHODS for seed in (0, 1)]
    return {run.name: run for run in made}


@pytest.fixture
def folder(tmp_path: Path, comparison: ComparisonRecord) -> Path:
    return write_comparison(tmp_path / "comparison", comparison)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", make_run())
    return tmp_path / "run"


@pytest.fixture
def found() -> SearchRecord:
    return make_search()

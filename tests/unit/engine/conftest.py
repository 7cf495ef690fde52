from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from families import write_examples

from welltuned.spec import DataSpec, ModelSpec


@pytest.fixture
def plan(tmp_path: Path, model_folder: Callable[[str], Path]) -> tuple[DataSpec, ModelSpec]:
    """A few rows, and a tiny model."""
    (tmp_path / "rows").mkdir()
    rows = write_examples(tmp_path / "rows", {"train": 40, "dev": 16, "test": 12})
    return DataSpec(source=str(rows)), ModelSpec(name=str(model_folder("bert")), max_length=40)

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from welltuned.engine import precision


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(precision, "has_bf16_instructions", lambda: True)
    return tmp_path / "welltuned"


@pytest.mark.parametrize(("measured", "faster"), [(0.6, False), (1.1, False), (3.9, True)])
def test_the_speed_decides_and_is_measured_once(
    measured: float, faster: bool, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "speedup", lambda: measured)
    assert precision.bf16_is_faster() is faster
    (kept,) = cache.glob("*.json")
    assert json.loads(kept.read_text())["speedup"] == measured
    monkeypatch.setattr(precision, "speedup", lambda: pytest.fail("measured again"))
    assert precision.bf16_is_faster() is faster


def test_a_damaged_or_forbidden_cache_is_measured_anew(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "speedup", lambda: 3.0)
    precision.bf16_is_faster()
    (kept,) = cache.glob("*.json")
    kept.write_text("[]")
    assert precision.bf16_is_faster()
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    assert precision.bf16_is_faster()


def test_without_the_instructions_nothing_is_measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16_instructions", lambda: False)
    assert not precision.bf16_is_faster()
    assert not cache.exists()


def test_the_measure_is_a_ratio_and_draws_nothing() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert 0.01 < precision.speedup() < 100
    assert torch.equal(torch.rand(1), expected)

"""Trials in real processes of their own, on a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from welltuned.capacity.isolated import tried
from welltuned.capacity.probe import Request
from welltuned.errors import WelltunedError
from welltuned.spec import ComputeSpec, DataSpec, MethodSpec, ModelSpec, RunSpec, TrainSpec

GIB = 2**30


@pytest.fixture
def request_for(model_folder: Callable[[str], Path]) -> Callable[..., Request]:
    def made(rows: int, limit: int, train: bool = True, tokens: int = 32, name: str = "") -> Request:
        spec = RunSpec(
            data=DataSpec(source="none"), model=ModelSpec(name=name or str(model_folder("bert")), max_length=64),
            method=MethodSpec(name="full"), train=TrainSpec(lr=1e-3),
            compute=ComputeSpec(device="cpu", precision="fp32"),
        )  # fmt: skip
        return Request(spec=spec, classes=2, rows=rows, tokens=tokens, train=train, limit=limit)

    return made


def test_evaluation_needs_less_than_training(request_for: Callable[..., Request]) -> None:
    trained, evaluated = tried(request_for(800, 4 * GIB)), tried(request_for(800, 4 * GIB, train=False))
    assert trained.fits
    assert evaluated.fits
    assert trained.peak is not None
    assert evaluated.peak is not None
    assert trained.peak > evaluated.peak + 100 * 2**20


def test_a_process_that_takes_too_much_is_stopped_and_nothing_else(request_for: Callable[..., Request]) -> None:
    trial = tried(request_for(50_000, GIB))
    assert not trial.fits


def test_another_failure_is_told_as_such(request_for: Callable[..., Request], tmp_path: Path) -> None:
    with pytest.raises(WelltunedError, match="broke off") as error:
        tried(request_for(1, GIB, name=str(tmp_path / "nothing")))
    assert error.value.why

"""What all tests share: their order, one thread of arithmetic, and tiny models of every family."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from families import FAMILIES, write_model
from hypothesis import settings
from simulated import DEVICE, at_hand

from welltuned import engine, train, utilisation
from welltuned.pretrained import Pretrained, pretrained
from welltuned.spec import ComputeSpec, ModelSpec

LAYERS = ("unit", "conformance", "e2e")

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="welltuned-tests-")  # nothing of the user's is read or filled
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
torch.set_num_threads(1)
settings.register_profile("welltuned", deadline=None)
settings.load_profile("welltuned")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Unit tests first, then conformance, then end to end; a folder outside these comes last."""
    root = config.rootpath / "tests"

    def layer(item: pytest.Item) -> int:
        inside = item.path.is_relative_to(root)
        folder = item.path.relative_to(root).parts[0] if inside else ""
        return LAYERS.index(folder) if folder in LAYERS else len(LAYERS)

    items.sort(key=layer)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny model, written on first use."""

    @functools.cache
    def written(family: str) -> Path:
        folder = tmp_path_factory.mktemp(f"tiny-{family}")
        write_model(FAMILIES[family], folder)
        return folder

    return written


@pytest.fixture(scope="session")
def tiny(model_folder: Callable[[str], Path]) -> Callable[[str], Pretrained]:
    """A family's tiny model, checked and ready to make encoders."""

    @functools.cache
    def found(family: str) -> Pretrained:
        return pretrained(ModelSpec(name=str(model_folder(family)), max_length=64))

    return found


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Whoever asks where to compute is sent to another device, in fp32; gives how numbers are read from it."""
    asked = engine.resolve

    def sent(spec: ComputeSpec) -> engine.Compute:
        return engine.Compute(DEVICE, "fp32", asked(spec).engine)

    for module in list(sys.modules.values()):
        if vars(module).get("resolve") is asked:
            monkeypatch.setattr(module, "resolve", sent)
    monkeypatch.setattr(utilisation, "ceiling", lambda _: 1e9)  # it draws from a stream that only a real one has
    with at_hand() as reads:
        yield reads


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each optimizer step that a training takes by itself."""
    made: list[int] = []
    take = train.Training._take_step

    def counted(training: train.Training) -> None:
        made.append(training.step)
        take(training)

    monkeypatch.setattr(train.Training, "_take_step", counted)
    return made

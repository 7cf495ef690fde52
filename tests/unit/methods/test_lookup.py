from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conformance.contract import check_frontier, subject

from welltuned import methods
from welltuned.errors import UsageError
from welltuned.plan import candidate
from welltuned.pretrained import Pretrained
from welltuned.shapes import known_shape

OWN = '''
"""Train the bias of the head alone."""
from typing import ClassVar, final
from welltuned.methods._base import Choice, Defaults, Method, MethodConfig

@final
class Bias(Method[MethodConfig]):
    defaults = Defaults(lr=0.1)
    search_space: ClassVar = {"epochs": Choice((1, 2))}
    def attach(self, encoder): encoder.requires_grad_(False); encoder.head.classifier.bias.requires_grad_(True)
    def frontier(self, shape): return shape.layers
    def ledger(self, shape): return {"bias": shape.classes}
'''


def test_files_are_methods() -> None:
    files = {path.stem for path in Path(methods.__file__).parent.glob("[!_]*.py")}
    assert files <= set(methods.names())
    assert {"full", "head", "lora", "prefix"} <= files
    assert list(methods.names()) == sorted(methods.names())


def test_a_misspelt_name_gets_a_hint() -> None:
    with pytest.raises(UsageError, match="did you mean lora"):
        methods.find("lroa")
    with pytest.raises(UsageError, match="choose among"):
        methods.find("_base")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a method and with an empty file, searched like those of the environment variable."""
    (tmp_path / "bias.py").write_text(OWN)
    (tmp_path / "empty.py").write_text("")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    yield tmp_path
    for name in ("bias", "empty"):
        sys.modules.pop(f"{methods.__name__}.{name}", None)
        methods.__dict__.pop(name, None)


def test_a_method_can_live_outside_the_package(own_folder: Path, tiny: Callable[[str], Pretrained]) -> None:
    one = candidate("bias:epochs=2", {})
    assert one.train.epochs == 2
    assert methods.build(one.method).ledger(known_shape("minilm")) == {"bias": 2}
    trained = subject(tiny("bert"), one.method)
    check_frontier(trained)
    assert [name for name, p in trained.encoder.named_parameters() if p.requires_grad] == ["head.classifier.bias"]


def test_a_file_without_a_method_is_refused(own_folder: Path) -> None:
    with pytest.raises(UsageError, match="holds 0 methods") as error:
        methods.find("empty")
    assert "empty.py" in str(error.value)


def test_the_environment_names_folders(own_folder: Path, pytestconfig: pytest.Config) -> None:
    script = "from welltuned import methods; print(*methods.names())"
    environment = {**os.environ, "PYTHONPATH": str(pytestconfig.rootpath), "WELLTUNED_METHODS": str(own_folder)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(methods.names())
    assert {"bias", "empty", "lora"} <= set(methods.names())

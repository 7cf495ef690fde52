"""In processes of their own, for what is imported here is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def run_python(script: str, config: pytest.Config) -> None:
    environment = {**os.environ, "PYTHONPATH": str(config.rootpath), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_is_light(pytestconfig: pytest.Config) -> None:
    script = """
import sys, welltuned, welltuned.spec, welltuned.record, welltuned.shapes, welltuned.methods, welltuned.vault
assert welltuned.__version__
heavy = {"torch", "transformers", "peft", "datasets", "pandas", "sklearn", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""
    run_python(script, pytestconfig)


@pytest.mark.parametrize(
    "imports",
    [
        "import transformers, welltuned; from transformers import AutoModelForSequenceClassification",
        "import welltuned.model; from transformers import AutoModelForSequenceClassification",
    ],
)
def test_our_type_is_known_however_it_is_imported(imports: str, pytestconfig: pytest.Config) -> None:
    """More orders, with models, are among the tests of artifacts."""
    script = f"""
{imports}
import importlib, sys
from transformers import AutoConfig
config = AutoConfig.for_model("welltuned")
model = AutoModelForSequenceClassification._model_mapping[type(config)]
assert model.__name__ == "WelltunedForSequenceClassification"
assert model is sys.modules["welltuned.model"].WelltunedForSequenceClassification
assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("welltuned")]
"""
    run_python(script, pytestconfig)

"""Registers our model classes with Transformers at the moment Transformers loads its own Auto classes.

Importing Transformers takes seconds that ``welltuned --help`` and readers of records should not spend. So nothing
is loaded here; an import hook waits for Transformers' ``modeling_auto`` and registers right after it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

AWAITED = "transformers.models.auto.modeling_auto"


class _Registering(Loader):
    """Runs the module's own loader, then our registration."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _register()

    def __getattr__(self, name: str) -> object:
        return getattr(self.loader, name)


class _Waiting(MetaPathFinder):
    """Finds the awaited module once, through the other finders."""

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != AWAITED:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Registering(spec.loader)
        return spec


def _register() -> None:
    """Importing our classes registers them; where their own import led here, it will at its end."""
    import_module("welltuned.model")


def register_with_transformers() -> None:
    """Register now if Transformers' Auto classes are loaded, else as soon as they are."""
    if AWAITED in sys.modules:
        _register()
    elif not any(isinstance(finder, _Waiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Waiting())

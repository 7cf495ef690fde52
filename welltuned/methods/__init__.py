"""The methods: one file each, found by the file's name.

Folders named in the environment variable ``WELLTUNED_METHODS`` (separated as in ``PATH``) are searched too, so
that a method can live outside the package.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from welltuned.errors import UsageError

if TYPE_CHECKING:
    from welltuned.methods._base import Method
    from welltuned.spec import MethodSpec

__path__ = pkgutil.extend_path(__path__, __name__)
__path__ += [folder for folder in os.environ.get("WELLTUNED_METHODS", "").split(os.pathsep) if folder]


def names() -> tuple[str, ...]:
    """All methods by name, in alphabetical order; nothing is imported."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def find(name: str) -> type[Method[Any]]:
    """The class of a method.

    Raises:
        UsageError: there is no such method, or its file does not hold exactly one.
    """
    from welltuned.methods._base import Method

    if name not in names():
        close = get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(
            f"there is no method {name!r}",
            where="--method",
            why="a method is known by its file's name",
            mend=f"{hint}choose among {', '.join(names())}",
        )
    module = importlib.import_module(f"{__name__}.{name}")
    own = [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Method) and kind.__module__ == module.__name__ and not inspect.isabstract(kind)
    ]
    if len(own) != 1:
        raise UsageError(f"the file of method {name!r} holds {len(own)} methods instead of one", where=module.__file__)
    return own[0]


def build(spec: MethodSpec) -> Method[Any]:
    """The method that a spec describes."""
    kind = find(spec.name)
    return kind(kind.Config(**spec.config))


def config_of(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """A method's whole config as JSON values: these, and its defaults for the rest.

    Raises:
        UsageError: a field that the method does not have, or a value that it refuses.
    """
    from pydantic import ValidationError

    kind = find(name)
    try:
        return kind.Config(**values).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        fields = ", ".join(kind.Config.model_fields) or "none"
        raise UsageError(
            f"{name} does not take {field}={first.get('input')!r}",
            where="--method",
            why=first["msg"],
            mend=f"fields of {name}: {fields}",
        ) from error

"""Welltuned: fine-tune encoders for text classification, and say which method really won.

``import welltuned`` is light. It also lets plain Transformers open models of type ``welltuned``: once Transformers
has loaded its Auto classes, now or later in the process, ours are registered with them. What a program uses,
:class:`~welltuned.python.Classifier` and :func:`~welltuned.python.compare`, is loaded when it is first named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from welltuned.registration import register_with_transformers

if TYPE_CHECKING:
    from welltuned.python import Classifier, Compared, compare

__version__ = "0.1.0"
__all__ = ["Classifier", "Compared", "compare"]

register_with_transformers()


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("welltuned.python"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

"""What every demonstration returns: a frozen record that turns into plain JSON values."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Result:
    """Base of the laboratory's results; a subclass adds the numbers as fields."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values: tensors as nested lists, numbers that are not finite as None.

        A field declared with ``metadata={"json": False}`` is left out.
        """
        kept = [f.name for f in fields(self) if f.metadata.get("json", True)]
        return {name: _plain(getattr(self, name)) for name in kept}


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return value.to_dict()
    if isinstance(value, Tensor):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

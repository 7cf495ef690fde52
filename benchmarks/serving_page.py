"""Puts what benchmarks/serving_load.py measured into docs/serving.md, between its two markers.

python benchmarks/serving_page.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "serving.json"
PAGE = HERE.parent / "docs" / "serving.md"
HEAD = (
    "| server | minutes | asked | bad | lost | 5xx | wrong | answers a second | p50 | p95 | p99 "
    "| memory, first to last |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
)


def line(name: str, one: dict[str, Any]) -> str:
    """One server as a row of the table."""
    times = " | ".join(f"{one['seconds'][q]:.2f} s" for q in ("p50", "p95", "p99"))
    memory = f"{one['rss_mib'][0]:,} to {one['rss_mib'][-1]:,} MiB (most {max(one['rss_mib']):,})"
    counts = " | ".join(f"{one[what]:,}" for what in ("sent", "bad", "lost", "errors_5xx", "wrong"))
    return f"| `{name}` | {one['minutes']:g} | {counts} | {one['answers_a_second']:.1f} | {times} | {memory} |"


def section(found: dict[str, Any]) -> str:
    """Table, traffic and provenance."""
    run, asked, made = found["run"], found["asked"], found["provenance"]
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    tokens = run["tokens"]
    threads = made["threads"] or "one a core"
    lengths = f"{tokens['p5']} to {tokens['p95']} tokens, median {tokens['p50']}"
    return f"""{HEAD}{chr(10).join(line(name, one) for name, one in found["servers"].items())}

{run["method"]} on {run["model"]}, rows of {run["data"]} ({lengths}),
{asked["clients"]} clients that wait for each answer, {asked["bad"]:.0%} of requests bad, seed {asked["seed"]}. Clients
ran on the same machine: {made["processor"]}, {made["cores"]} cores, {made["memory_bytes"] / 2**30:.0f} GiB,
threads of arithmetic: {threads}; Python {made["python"]}, {versions}."""


def main() -> None:
    """Fill the page."""
    filled = f"<!-- load -->\n{section(json.loads(RESULTS.read_text()))}\n<!-- /load -->"
    text, times = re.subn(r"<!-- load -->.*?<!-- /load -->", lambda _: filled, PAGE.read_text(), flags=re.DOTALL)
    if times != 1:
        raise SystemExit(f"{PAGE} has not exactly one pair of markers")
    PAGE.write_text(text)


if __name__ == "__main__":
    main()

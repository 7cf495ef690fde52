"""Whether a search that gives up hopeless trials finds what the whole search finds, and what that saves.

    python benchmarks/speed/pruned.py DATA [--classes 40] [--rows 320] [--dev-rows 800] [--max-length 64] [--only lora]

The course sheet's grid of each method, each search in a process of its own: with every trial to its end, and under
each rule. Beside the choice is told what it costs: the best setting's mean dev accuracy less that of the one chosen,
both trained whole.

Writes benchmarks/results/speed_pruned.json, data by data; page.py puts it into docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from page import fill
from process import ROOT, here, run
from sheet import RATES, SEEDS, sheet
from work import Work

from welltuned.engine.precision import bf16_is_faster
from welltuned.record import processor_name
from welltuned.search.pruning import PRUNERS

OUT = ROOT / "benchmarks" / "results" / "speed_pruned.json"
WHOLE = "whole"


def measured(work: Work) -> dict[str, Any]:
    """Each way of searching: its seconds, what it chose, how many trials it gave up, and what the choice costs."""
    found: dict[str, Any] = {}
    for rule in (WHOLE, *PRUNERS):
        done = run("ours", replace(work, pruner="" if rule == WHOLE else rule))
        means = found[WHOLE]["dev_accuracy"] if found else done["dev_accuracy"]
        found[rule] = {
            "seconds": done["seconds"],
            "chosen": done["chosen"],
            "dev_accuracy": done["dev_accuracy"],
            "given_up": done["given_up"],
            "regret": max(means) - means[done["chosen"]],
        }
        print(f"{work.method}, {rule}: {found[rule]}", file=sys.stderr, flush=True)
    return found


def narrowed(data: Path, folder: Path, classes: int) -> None:
    """Write the rows of the classes that are first by name."""
    splits = {
        name: [json.loads(line) for line in (data / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "dev")
    }
    kept = set(sorted({row["label"] for row in splits["train"]})[:classes])
    for name, rows in splits.items():
        lines = [json.dumps(row) + "\n" for row in rows if row["label"] in kept]
        (folder / f"{name}.jsonl").write_text("".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--classes", type=int, help="only those that are first by name")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--dev-rows", type=int, default=10)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--only", default=",".join(RATES), help="methods, separated by commas")
    arguments = parser.parse_args()
    wanted = [name.strip() for name in arguments.only.split(",")]
    if unknown := [name for name in wanted if name not in RATES]:
        parser.error(f"argument --only: no method is called {', '.join(unknown)}; they are {', '.join(RATES)}")
    if arguments.classes is not None and arguments.classes < 2:
        parser.error(f"argument --classes: {arguments.classes} leave nothing to tell apart; give 2 or more")
    source = Path(arguments.data)
    precision, name = "bf16" if bf16_is_faster() else "fp32", source.name
    with tempfile.TemporaryDirectory() as folder:
        if arguments.classes:
            narrowed(source, Path(folder), arguments.classes)
            source, name = Path(folder), f"{arguments.classes} classes of {name}"
        base = Work(
            str(source), "minilm", "full", [], arguments.rows, arguments.dev_rows, arguments.max_length, way="fast",
            precision=precision, threads=psutil.cpu_count() or 1,
        )  # fmt: skip
        works = {method: sheet(base, method) for method in wanted}
        methods = {method: measured(work) for method, work in works.items()}
    known = json.loads(OUT.read_text()) if OUT.exists() else {}
    data = known["data"] if known and known["machine"]["processor"] == processor_name() else {}  # one machine a table
    told = {
        "what": f"{name}, {arguments.rows:,} training and {arguments.dev_rows:,} dev rows",
        "settings": {method: work.settings for method, work in works.items()},
        "seeds": SEEDS,
        "methods": methods,
    }
    before = data.get(name, told)
    for part in ("settings", "methods") if before["what"] == told["what"] else ():
        told[part] = {**before[part], **told[part]}
    written = {
        "what": "the same search with every trial run to its end and under each rule; one process each, once",
        "rules": list(PRUNERS),
        "precision": precision,
        **here(),
        "data": {**data, name: told},
    }  # fmt: skip
    OUT.write_text(json.dumps(written, indent=1) + "\n")
    fill()


if __name__ == "__main__":
    main()

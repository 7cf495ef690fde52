"""How fast Welltuned trains, beside Hugging Face's Trainer and PEFT on the same rows.

    python benchmarks/speed DATA [--rows 512] [--rounds 3] [--only full,lora]

Tasks: one epoch of each method; a search over 24 settings of LoRA; the course sheet's grid, 3 rates by 7 and 9 epochs,
of each method with 3 seeds. The searches are measured once unless --rounds is given, beside the peer's default flags
alone. What giving up hopeless trials brings is measured by pruned.py.

Every training runs in a process of its own, one at a time; ours and the peer's take turns in every round, and what is
told is the median. The peer runs with its default flags and with its best ones: rows grouped by length, fused AdamW,
and bf16 where that is faster on this machine. Welltuned's cache on disk is empty at the start of every process.

Writes benchmarks/results/speed.json and docs/figures/speed.png, and fills the table of docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from ceiling import needed, products
from page import fill
from process import ROOT, here, run
from sheet import CONSTANT, RATES, sheet
from work import Work

from welltuned.engine.precision import speedup
from welltuned.pretrained import pretrained
from welltuned.record import processor_name
from welltuned.spec import DataSpec, ModelSpec
from welltuned.stats import compare_pair
from welltuned.workbench import Workbench

DEFAULT, BEST = "peer, default flags", "peer, best flags"


@dataclass(frozen=True)
class Task:
    """Work, the sides that do it, and how often if nothing else is asked for."""

    work: Work
    sides: tuple[str, ...] = ("ours", DEFAULT, BEST)
    rounds: int = 3


def tasks(data: str, rows: int, dev_rows: int, precision: str) -> dict[str, Task]:
    """By name."""
    base = Work(data, "minilm", "full", [], rows, dev_rows, precision=precision)
    found = {
        method: Task(replace(base, method=method, settings=[(lr, 1)], rows=rows // 2 if method == "prefix" else rows))
        for method, lr in RATES.items()
    }
    few = replace(base, rows=max(3, rows // 16), dev_rows=max(1, rows // 48), training=CONSTANT)  # BoolQ's own third
    rates = [round(RATES["lora"] * 10 ** (at / 4), 7) for at in range(-5, 3)]
    settings = [(lr, epochs) for lr in rates for epochs in (1, 2, 3)]
    found["lora search"] = Task(replace(few, method="lora", settings=settings), ("ours", DEFAULT), 1)
    for method in RATES:
        found[f"sheet: {method}"] = Task(sheet(few, method), ("ours", DEFAULT), 1)
    return found


def measured(name: str, task: Task, rounds: int, reduced: str) -> dict[str, Any]:
    """The sides in turns; medians, the spread, and the paired interval of the accuracies' difference."""
    work = task.work
    known = {
        "ours": ("ours", replace(work, way="fast")),
        DEFAULT: ("peer", replace(work, way="default", precision="fp32", training={})),
        BEST: ("peer", replace(work, way="best", precision=reduced, training={})),
    }
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in task.sides}
    for at in range(rounds):
        for side in task.sides:
            runs[side].append(run(*known[side]))
            print(f"{name}, round {at + 1}: {side} {runs[side][-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    found: dict[str, Any] = {}
    for side, all_of in runs.items():
        seconds = [one["seconds"] for one in all_of]
        found[side] = {
            "seconds": statistics.median(seconds),
            "all_seconds": seconds,
            "train_seconds": statistics.median(one["train_seconds"] for one in all_of),
            "tokens": all_of[0]["tokens"],
            "peak_bytes": max(one["peak_bytes"] for one in all_of),
            "dev_accuracy": all_of[0]["dev_accuracy"],
            "chosen": all_of[0]["chosen"],
        }
    mine, other = (np.array(runs[side][0]["correct"], bool)[None] for side in ("ours", DEFAULT))
    interval = compare_pair(mine, other).interval
    return {
        "work": asdict(work),
        "sides": found,
        "accuracy_difference": {
            "value": float(mine.mean() - other.mean()), "low": interval.lower, "high": interval.upper,
        },
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--dev-rows", type=int, default=128)
    parser.add_argument("--rounds", type=int, help="of every task; without, 3 of single runs and 1 of searches")
    parser.add_argument("--only", default="", help="names of tasks, separated by commas")
    arguments = parser.parse_args()
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error(f"argument --rounds: {arguments.rounds} is none; give 1 or more")
    cores = psutil.cpu_count() or 1
    ratio = speedup()
    reduced = "bf16" if ratio > 1 else "fp32"
    chosen = tasks(arguments.data, arguments.rows, arguments.dev_rows, "bf16" if ratio >= 1.2 else "fp32")
    wanted = [name.strip() for name in arguments.only.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in chosen]:
        parser.error(f"argument --only: no task is called {', '.join(unknown)}; they are {', '.join(chosen)}")
    shape = pretrained(ModelSpec(name="minilm")).shape
    path = ROOT / "benchmarks" / "results" / "speed.json"
    before = json.loads(path.read_text()) if wanted and path.exists() else {"machine": {}, "tasks": {}}
    results = before["tasks"] if before["machine"].get("processor") == processor_name() else {}  # one machine a table
    told = {
        "what": "one process each, in turns, medians",
        "data": "BoolQ, 2,000 training rows" if "boolq" in arguments.data else Path(arguments.data).name,
        "bf16_speedup": ratio,
        "peer_best_precision": reduced,
        **here(),
    }
    for name, task in chosen.items():
        if wanted and name not in wanted:
            continue
        work, rounds = replace(task.work, threads=cores), arguments.rounds or task.rounds
        found = measured(name, replace(task, work=work), rounds, reduced)
        ceiling = products(cores, work.precision)
        data = DataSpec(source=work.data, max_train_samples=work.rows, max_eval_samples=work.dev_rows)
        lengths = Workbench().tokens(data, ModelSpec(name=work.model, max_length=work.max_length))["train"].lengths
        squared = int((lengths.astype(np.int64) ** 2).sum())
        for side in found["sides"].values():
            flop = needed(shape, work.method, side["tokens"], squared * side["tokens"] // int(lengths.sum()))
            side["share_of_ceiling"] = flop / side["train_seconds"] / ceiling
        found["work"]["data"] = told["data"]
        results[name] = {**found, "rounds": rounds, "ceiling": ceiling}
        ordered = {name: results[name] for name in chosen if name in results}
        path.write_text(json.dumps({**told, "tasks": ordered}, indent=1) + "\n")  # what is measured so far
    fill()


if __name__ == "__main__":
    main()

"""How fast Welltuned trains, beside Hugging Face's Trainer and PEFT on the same rows.

    python benchmarks/speed DATA [--rows 512] [--rounds 3] [--only full,lora]
    python benchmarks/speed DATA --device cuda --model random:768x12 --batch-size 64

Tasks: one epoch of each method; a search over 24 settings of LoRA; the course sheet's grid, 3 rates by 7 and 9 epochs,
of each method with 3 seeds. The searches are measured once unless --rounds is given, beside the peer's default flags
alone. What giving up hopeless trials brings is measured by pruned.py.

Every training runs in a process of its own, one at a time; ours and the peer's take turns in every round, and what is
told is the median. The peer runs with its default flags and with its best ones: rows grouped by length, fused AdamW,
and bf16 where that is faster on this machine. Welltuned's cache on disk is empty at the start of every process.

Writes benchmarks/results/speed.json and docs/figures/speed.png, and fills the table of docs/speed.md; on a GPU
benchmarks/results/speed_cuda.json alone, and with --out that file alone. Memory on a GPU is the most that torch had
allocated there, on a CPU that of the process.

A model random:HIDDENxLAYERS is a BERT of these dimensions whose weights are random, so that nothing need be
downloaded: speed does not depend on weights. Its accuracies mean nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from ceiling import needed_a_token, products
from models import dimensions, made
from page import fill
from process import ROOT, here, run
from sheet import CONSTANT, RATES, sheet
from work import Work

from welltuned.engine import resolve
from welltuned.engine.precision import speedup
from welltuned.spec import ComputeSpec
from welltuned.stats import compare_pair

DEFAULT, BEST = "peer, default flags", "peer, best flags"
PAGE: dict[str, Any] = {"model": "minilm", "batch_size": 32}
"""What docs/speed.md tells of."""


@dataclass(frozen=True)
class Task:
    """Work, the sides that do it, and how often if nothing else is asked for."""

    work: Work
    sides: tuple[str, ...] = ("ours", DEFAULT, BEST)
    rounds: int = 3


def tasks(base: Work) -> dict[str, Task]:
    """By name; ``base`` is full fine-tuning on the rows of a single run."""
    found = {
        method: Task(
            replace(base, method=method, settings=[(lr, 1)], rows=base.rows // 2 if method == "prefix" else base.rows)
        )
        for method, lr in RATES.items()
    }
    few = replace(  # dev rows as in BoolQ: a third
        base, rows=max(3, base.rows // 16), dev_rows=max(1, base.rows // 48), training=CONSTANT
    )
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


def parsed() -> argparse.Namespace:
    """The command line; what cannot be is refused before anything is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--dev-rows", type=int, default=128)
    parser.add_argument("--rounds", type=int, help="of every task; without, 3 of single runs and 1 of searches")
    parser.add_argument("--only", default="", help="names of tasks, separated by commas")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--model", default=PAGE["model"], help="a name, a folder, or random:HIDDENxLAYERS")
    parser.add_argument("--batch-size", type=int, default=PAGE["batch_size"])
    parser.add_argument("--out", type=Path, help="write this file of results, and nothing else")
    given = parser.parse_args()
    for name in ("rounds", "batch_size"):
        value = getattr(given, name)
        if value is not None and value < 1:
            parser.error(f"argument --{name.replace('_', '-')}: {value} is none; give 1 or more")
    given.only = [name.strip() for name in given.only.split(",") if name.strip()]
    known = tasks(Work(given.data, given.model, "full", [], given.rows, given.dev_rows))
    if unknown := [name for name in given.only if name not in known]:
        parser.error(f"argument --only: no task is called {', '.join(unknown)}; they are {', '.join(known)}")
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("argument --device: torch finds no GPU")
    try:
        dimensions(given.model)
    except ValueError as error:
        parser.error(f"argument --model: {error}")
    given.fills = given.out is None and given.device == "cpu"
    if given.fills and {name: getattr(given, name) for name in PAGE} != PAGE:
        parser.error("docs/speed.md tells of MiniLM and batches of 32; give --out for another model or batch size")
    return given


def precisions(device: str) -> tuple[float | None, str, str]:
    """How many times faster bf16 is, where that is measured; the peer's best precision, and ours."""
    if device == "cuda":
        found = resolve(ComputeSpec(device=device)).precision
        return None, found, found
    ratio = speedup()
    return ratio, "bf16" if ratio > 1 else "fp32", "bf16" if ratio >= 1.2 else "fp32"


def earlier(path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """Tasks of a file that was measured with the same machine, model and batches: a table is of one of each."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text())
    was = PAGE | {name: found[name] for name in PAGE if name in found}
    same = all(was[name] == told[name] for name in PAGE)
    chip = all(found["machine"].get(part) == told["machine"].get(part) for part in ("processor", "device"))
    return found["tasks"] if same and chip else {}


def told_of(given: argparse.Namespace, ratio: float | None, reduced: str) -> dict[str, Any]:
    """What stands above the tasks, without paths of this machine."""
    is_random = dimensions(given.model) is not None
    return {
        "what": "one process each, in turns, medians",
        "data": "BoolQ, 2,000 training rows" if "boolq" in given.data else Path(given.data).name,
        "model": Path(given.model).name if Path(given.model).is_dir() else given.model,
        "weights": "random; accuracies mean nothing" if is_random else "pretrained",
        "batch_size": given.batch_size,
        "bf16_speedup": ratio,
        "peer_best_precision": reduced,
        **here(given.device),
    }


def main() -> None:
    given = parsed()
    ratio, reduced, precision = precisions(given.device)
    told = told_of(given, ratio, reduced)
    path = given.out or ROOT / "benchmarks" / "results" / (
        "speed_cuda.json" if given.device == "cuda" else "speed.json"
    )
    results = earlier(path, told) if given.only else {}
    with tempfile.TemporaryDirectory() as folder:
        size = dimensions(given.model)
        model = given.model if size is None else str(made(*size, Path(folder)))
        base = Work(
            given.data, model, "full", [], given.rows, given.dev_rows, batch_size=given.batch_size,
            precision=precision, threads=psutil.cpu_count() or 1, device=given.device,
        )  # fmt: skip
        chosen = tasks(base)
        for name, task in chosen.items():
            if given.only and name not in given.only:
                continue
            rounds = given.rounds or task.rounds
            found = measured(name, task, rounds, reduced)
            reach, flop = products(task.work), needed_a_token(task.work)
            for side in found["sides"].values():
                rate = None if flop is None else flop * side["tokens"] / side["train_seconds"]
                side["share_of_ceiling"] = None if rate is None else rate / reach
            found["work"] |= {"data": told["data"], "model": told["model"]}
            results[name] = {**found, "rounds": rounds, "ceiling": reach}
            ordered = {name: results[name] for name in chosen if name in results}
            path.write_text(json.dumps({**told, "tasks": ordered}, indent=1) + "\n")  # what is measured so far
    if given.fills:
        fill()


if __name__ == "__main__":
    main()

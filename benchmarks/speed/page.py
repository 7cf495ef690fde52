"""The figures of docs/speed.md, from benchmarks/results/speed.json alone.

python benchmarks/speed/page.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "speed.md"
BEGIN, END = "<!-- speed -->", "<!-- /speed -->"
SIDES = ("ours", "peer, default flags", "peer, best flags")
HEADS = (
    "task", "Welltuned", "peer, default", "peer, best", "times faster than default", "than best",
    "peak memory, ours / default", "share of ceiling", "dev accuracy, ours less peer (95%)",
)  # fmt: skip


def fill(path: Path) -> None:
    """Draw the figure and write the table between the page's markers."""
    found = json.loads(path.read_text())
    draw(found["tasks"])
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{told(found)}\n{END}{after}")


def told(found: dict[str, Any]) -> str:
    """Machine, versions and the table in Markdown."""
    machine, versions = found["machine"], found["versions"]
    rounds = min(task["rounds"] for task in found["tasks"].values())
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; torch {versions['torch']}, transformers "
        f"{versions['transformers']}, peft {versions['peft']}. {found['data']}; MiniLM; batches of 32; medians of "
        f"{rounds} rounds. On this processor a training step in bf16 is {found['bf16_speedup']:.2f} times as fast as "
        f"in fp32, so the peer's best flags take {found['peer_best_precision']}.",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|---|" + "---:|" * (len(HEADS) - 1),
    ]
    lines += ["| " + " | ".join(_line(name, task)) + " |" for name, task in found["tasks"].items()]
    lines += ["", "![Seconds of each task on both sides](figures/speed.png)"]
    return "\n".join(lines)


def _line(name: str, task: dict[str, Any]) -> list[str]:
    ours, default, best = (task["sides"][side] for side in SIDES)
    rows = f"{name}: {task['work']['rows']} rows"
    apart = task["accuracy_difference"]
    return [
        rows,
        *(f"{side['seconds']:.1f} s" for side in (ours, default, best)),
        f"{default['seconds'] / ours['seconds']:.1f}",
        f"{best['seconds'] / ours['seconds']:.1f}",
        f"{ours['peak_bytes'] / 1e9:.1f} / {default['peak_bytes'] / 1e9:.1f} GB",
        f"{ours['share_of_ceiling']:.0%}",
        f"{100 * apart['value']:+.1f} ({100 * apart['low']:+.1f} to {100 * apart['high']:+.1f})",
    ]


def draw(tasks: dict[str, Any]) -> None:
    """Seconds of each side, every round a point."""
    mpl.rcParams["font.size"] = 9
    figure = Figure(figsize=(8, 0.9 + 0.55 * len(tasks)), layout="constrained")
    axes = figure.subplots()
    for at, task in enumerate(tasks.values()):
        for shift, (side, color) in enumerate(zip(SIDES, ("#0b6e4f", "#b0413e", "#d98e04"), strict=True)):
            times = task["sides"][side]["all_seconds"]
            place = at + 0.25 * (shift - 1)
            axes.barh(place, task["sides"][side]["seconds"], 0.22, color=color, label=side if at == 0 else "_")
            axes.plot(times, [place] * len(times), "|", color="black", ms=6)
    axes.set_yticks(range(len(tasks)), list(tasks))
    axes.invert_yaxis()
    axes.set_xlabel("seconds from texts and weights on disk to dev accuracies (bars: medians; strokes: rounds)")
    axes.legend(frameon=False)
    figure.savefig(ROOT / "docs" / "figures" / "speed.png", dpi=110)


if __name__ == "__main__":
    fill(ROOT / "benchmarks" / "results" / "speed.json")

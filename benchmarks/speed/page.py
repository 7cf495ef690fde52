"""The figures of docs/speed.md, from the files of benchmarks/results that are named below.

python benchmarks/speed/page.py

speed.json and speed_tried.json are what the last machine measured; those that end in amx or fp32 are kept from machines
of other kinds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from sheet import RATES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "speed.md"
RESULTS = ROOT / "benchmarks" / "results"
SIDES = ("ours", "peer, default flags", "peer, best flags")
COLORS = ("#0b6e4f", "#b0413e", "#d98e04")
HEADS = (
    "task", "Welltuned", "peer, default", "peer, best", "times faster than default", "than best",
    "tokens/s, ours / peer's best", "peak memory, ours / default", "share of ceiling",
    "dev accuracy, ours less peer (95%)",
)  # fmt: skip
SHEET = "sheet: "


def fill() -> None:
    """Draw the figure and write what was measured between the page's markers."""
    for name, say in SAY.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = PAGE.read_text().split(begin)
        PAGE.write_text(f"{before}{begin}\n{say(json.loads(path.read_text()))}\n{end}{rest.split(end)[1]}")
    if (RESULTS / "speed.json").exists():
        draw(json.loads((RESULTS / "speed.json").read_text())["tasks"])


def told(found: dict[str, Any]) -> str:
    """Machine, versions and the table in Markdown."""
    machine, versions = found["machine"], found["versions"]
    tasks, verb = found["tasks"], "" if found["bf16_speedup"] > 1 else "only "
    lines = [
        f"{machine['processor']}, {machine['cores']} cores; torch {versions['torch']}, transformers "
        f"{versions['transformers']}, peft {versions['peft']}. {found['data']}; MiniLM; batches of 32; medians of "
        f"{max(task['rounds'] for task in tasks.values())} rounds, searches with fewer where their line says so. On "
        f"this processor a training step in bf16 is {verb}{found['bf16_speedup']:.2f} times as fast as in fp32, so "
        f"both sides take {found['peer_best_precision']}, and the peer's default flags fp32.",
        "",
        "| " + " | ".join(HEADS) + " |",
        "|---|" + "---:|" * (len(HEADS) - 1),
    ]
    lines += ["| " + " | ".join(_line(name, task)) + " |" for name, task in tasks.items()]
    sheet = [task for name, task in tasks.items() if name.startswith(SHEET)]
    if len(sheet) == len(RATES):
        lines += ["", _sheet(sheet)]
    return "\n".join(lines)


def _line(name: str, task: dict[str, Any]) -> list[str]:
    ours, default, best = (task["sides"].get(side) for side in SIDES)
    rounds = f", {task['rounds']} round{'s' if task['rounds'] > 1 else ''}" if task["rounds"] != 3 else ""
    apart = task["accuracy_difference"]
    least = best or default
    return [
        f"{name}: {task['work']['rows']} rows{rounds}",
        *("" if side is None else f"{side['seconds']:.1f} s" for side in (ours, default, best)),
        *("" if side is None else f"{side['seconds'] / ours['seconds']:.1f}" for side in (default, best)),
        f"{ours['tokens'] / ours['train_seconds']:,.0f} / {least['tokens'] / least['train_seconds']:,.0f}",
        f"{ours['peak_bytes'] / 1e9:.1f} / {default['peak_bytes'] / 1e9:.1f} GB",
        f"{ours['share_of_ceiling']:.0%}",
        f"{100 * apart['value']:+.1f} ({100 * apart['low']:+.1f} to {100 * apart['high']:+.1f})",
    ]


def _sheet(tasks: list[dict[str, Any]]) -> str:
    """The whole sheet, all methods together."""
    whole, default = (sum(task["sides"][side]["seconds"] for task in tasks) for side in SIDES[:2])
    settings, seeds = len(tasks[0]["work"]["settings"]), len(tasks[0]["work"]["seeds"])
    return (
        f"The whole sheet, {len(tasks)} methods by {settings} settings by {seeds} seeds: {whole:.0f} s with every "
        f"trial run to its end against {default:.0f} s, {default / whole:.1f} times faster."
    )


def pruned(found: dict[str, Any]) -> str:
    """What giving up saves, and whether it chooses as the whole search does."""
    lines = ["| data | method | whole | " + " | ".join(f"{rule} | chosen" for rule in found["rules"]) + " |"]
    lines.append("|---|---|---:|" + "---:|---|" * len(found["rules"]))
    for data in found["data"].values():
        for method, ways in data["methods"].items():
            cells = [data["what"], method, f"{ways['whole']['seconds']:.0f} s"]
            for rule in found["rules"]:
                cells += [f"{ways[rule]['seconds']:.0f} s", _choice(ways[rule], ways["whole"])]
            lines.append("| " + " | ".join(cells) + " |")
        sums = [sum(one[way]["seconds"] for one in data["methods"].values()) for way in ("whole", *found["rules"])]
        cells = [data["what"], "together", f"{sums[0]:.0f} s"]
        for seconds in sums[1:]:
            cells += [f"{seconds:.0f} s", f"{sums[0] / seconds:.1f} times faster"]
        lines.append("| " + " | ".join(cells) + " |")
    machine = found["machine"]
    where = f"{machine['processor']}, {machine['cores']} cores, {found['precision']}, once each."
    return "\n".join([where, "", *lines])


def _choice(one: dict[str, Any], whole: dict[str, Any]) -> str:
    if one["chosen"] == whole["chosen"]:
        return "the same"
    return "another, as good" if one["regret"] == 0 else f"{100 * one['regret']:.1f} points worse"


def tried(found: dict[str, Any]) -> str:
    """Where a step's time goes, and what other means would bring."""
    both = found["parts"]
    names = dict.fromkeys([*both["full"], *both["lora"]])
    lines = ["| part of a step | full | lora |", "|---|---:|---:|"]
    lines += [f"| {name} | {both['full'].get(name, 0):.0%} | {both['lora'].get(name, 0):.0%} |" for name in names]
    gflops = {name: f"{value / 1e9:.0f}" for name, value in found["products"].items()}
    step = ", ".join(f"{value / 1e9:.0f} {name}" for name, value in found["products of a step"].items())
    three, merged = (1e3 * found["queries, keys and values"][name] for name in ("apart", "merged"))
    steps, before, after = (found["compile"][name] for name in ("compiled, first time", "as it is", "compiled"))
    rates = ", ".join(f"{rate:,.0f} at {rows}" for rows, rate in found["evaluation"].items())
    by_rows = ", ".join(f"{rate:,.0f} at {rows}" for rows, rate in found["steps by rows"].items())
    head, many = found["head"], found["heads"]
    lines += [
        "",
        f"{found['machine']['processor']}, {found['machine']['cores']} cores, MiniLM, {found['rows']} rows of BoolQ; "
        f"steps in {found['precision']}.",
        "",
        f'- Products, GFLOP/s: fp32 {gflops["fp32, highest"]}, through oneDNN\'s "medium" {gflops["fp32, medium"]}, '
        f"bf16 {gflops['bf16']}.",
        f"- Products of a feed-forward matrix and 2,048 tokens in bf16, GFLOP/s: {step}.",
        f"- Queries, keys and values of 2,048 tokens, forward and backward: {three:.1f} ms apart, {merged:.1f} ms as "
        "one product.",
        f"- torch.compile of the blocks: {before:.1f} s of steps become {after:.1f} s; with the compiling, the first "
        f"time takes {steps:.1f} s.",
        f"- Evaluation, tokens a second by rows at once: {rates}.",
        f"- Training of LoRA, tokens a second by rows of a step: {by_rows}.",
        f"- A step of head-tuning on features that were kept takes {1e3 * head['step']:.2f} ms; a trial of it on "
        f"{found['rows']} rows {head['trial']:.2f} s in all, of which {head['steps']:.2f} s are steps.",
        f"- {many['trials']} such trials, of {many['epochs']} epochs: {many['apart']:.1f} s one after the other, "
        f"{many['together']:.1f} s together.",
    ]
    if "runs abreast" in found:
        abreast = ", ".join(
            f"{1e3 * one['apart']:,.0f} and {1e3 * one['together']:,.0f} ms at {tokens}"
            for tokens, one in found["runs abreast"].items()
        )
        lines.append(f"- A step of eight runs of LoRA, apart and together, by tokens of a batch: {abreast}.")
    return "\n".join(lines)


def reduced(found: dict[str, Any]) -> str:
    """bf16 against fp32."""
    apart, accuracy = found["difference"], found["accuracy"]
    means = {name: sum(values) / len(values) for name, values in accuracy.items()}
    taken = found["training_seconds"]
    return (
        f"{found['data']}, {found['plan']['epochs']} epochs of full fine-tuning, {found['seeds']} seeds: dev accuracy "
        f"{means['bf16']:.2%} in bf16, {means['fp32']:.2%} in fp32; paired difference {100 * apart['value']:+.2f} "
        f"points ({100 * apart['low']:+.2f} to {100 * apart['high']:+.2f}). Training took {taken['bf16']:.0f} s and "
        f"{taken['fp32']:.0f} s."
    )


def draw(tasks: dict[str, Any]) -> None:
    """Seconds of each side, every round a point."""
    mpl.rcParams["font.size"] = 9
    figure = Figure(figsize=(8, 0.9 + 0.55 * len(tasks)), layout="constrained")
    axes = figure.subplots()
    seen: set[str] = set()
    for at, task in enumerate(tasks.values()):
        for shift, (side, color) in enumerate(zip(SIDES, COLORS, strict=True)):
            if side not in task["sides"]:
                continue
            times, place = task["sides"][side]["all_seconds"], at + 0.25 * (shift - 1)
            label = "_" if side in seen else side
            seen.add(side)
            axes.barh(place, task["sides"][side]["seconds"], 0.22, color=color, label=label)
            axes.plot(times, [place] * len(times), "|", color="black", ms=6)
    axes.set_yticks(range(len(tasks)), list(tasks))
    axes.invert_yaxis()
    axes.set_xlabel("seconds from texts and weights on disk to dev accuracies (bars: medians; strokes: rounds)")
    axes.legend(frameon=False)
    figure.savefig(ROOT / "docs" / "figures" / "speed.png", dpi=110)


SAY = {
    "speed": told,
    "speed_amx": told,
    "speed_fp32": told,
    "speed_pruned": pruned,
    "speed_tried": tried,
    "speed_tried_amx": tried,
    "bf16": reduced,
}
"""Of each file of results, what stands between its markers."""


if __name__ == "__main__":
    fill()

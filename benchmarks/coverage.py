"""How well the statistics keep their promises, on simulated experiments whose truth is known.

    python benchmarks/coverage.py [--experiments 2000]

Writes benchmarks/results/coverage.json and docs/figures/statistics-*.png.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import platform
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy
from scipy.stats import t

from welltuned.stats import holm, power
from welltuned.stats.intervals import accuracy_bounds
from welltuned.stats.paired import PairedBatch, compare_batch
from welltuned.stats.simulation import (
    Experiments,
    Method,
    World,
    method_disagreement,
    seed_disagreement,
    simulate,
)

ROOT = Path(__file__).resolve().parents[1]
ITEMS = (200, 1000, 3270)
SEEDS = (1, 2, 3, 5)
SEED_SDS = (0.0, 0.005, 0.010, 0.015)
BASE = 0.80
MARGIN = 0.02
CHUNK = 4_000_000  # simulated answers of one method held at once


def chunks(
    methods: list[Method], seeds: int, n: int, experiments: int, world: World | None = None
) -> Iterator[Experiments]:
    """The same experiments for the same arguments, in pieces that fit in the cache."""
    rng = np.random.default_rng(zlib.crc32(repr((methods, seeds, n, world)).encode()))
    size = max(1, CHUNK // (seeds * n))
    for start in range(0, experiments, size):
        yield simulate(methods, seeds, n, min(size, experiments - start), rng, world)


def truth(drawn: Experiments, methods: list[Method], a: int = 0, b: int = 1) -> np.ndarray | float:
    """The difference that is claimed: of the trained models for one seed, else of the methods."""
    if drawn.trained[a].shape[1] == 1:
        return drawn.trained[a][:, 0] - drawn.trained[b][:, 0]
    return methods[a].accuracy - methods[b].accuracy


def inside(lower: np.ndarray, value: np.ndarray | float, upper: np.ndarray) -> np.ndarray:
    return (lower <= value) & (value <= upper)


def seed_bootstrap(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Percentile bootstrap over seeds, exact: every resample of the seed accuracies [R, S]."""
    picks = np.array(list(itertools.product(range(a.shape[1]), repeat=a.shape[1])))
    means_a, means_b = a[:, picks].mean(axis=2), b[:, picks].mean(axis=2)
    differences = (means_a[:, :, None] - means_b[:, None, :]).reshape(len(a), -1)
    lower, upper = np.quantile(differences, (0.025, 0.975), axis=1)
    return lower, upper


def seed_t(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Welch's t interval on the seed accuracies [R, S]; the items are taken as fixed."""
    va, vb = a.var(axis=1, ddof=1) / a.shape[1], b.var(axis=1, ddof=1) / b.shape[1]
    df = (va + vb) ** 2 / np.maximum((va**2 + vb**2) / (a.shape[1] - 1), 1e-300)
    half = t.isf(0.025, np.maximum(df, 1)) * np.sqrt(va + vb)
    centre = a.mean(axis=1) - b.mean(axis=1)
    return centre - half, centre + half


def items_only(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal interval over items of the seed averages [R, S, N]; the seeds are taken as fixed."""
    difference = a.mean(axis=1) - b.mean(axis=1)
    half = 1.96 * difference.std(axis=1, ddof=1) / math.sqrt(a.shape[2])
    return difference.mean(axis=1) - half, difference.mean(axis=1) + half


def plain(a: np.ndarray, b: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What one might do instead, with three seeds."""
    by_seed = a.mean(axis=2), b.mean(axis=2)
    return {
        "bootstrap over seeds": seed_bootstrap(*by_seed),
        "t over seeds": seed_t(*by_seed),
        "items only": items_only(a, b),
    }


def coverage_cell(
    methods: list[Method], seeds: int, n: int, experiments: int, world: World | None = None
) -> dict[str, float]:
    """Shares of experiments whose 95% interval holds the truth, for each estimator."""
    hits: dict[str, list[np.ndarray]] = {}
    widths = []
    for drawn in chunks(methods, seeds, n, experiments, world):
        a, b = drawn.correct
        target = truth(drawn, methods)
        lower, upper = compare_batch(a, b).bounds(0.95)
        widths.append(upper - lower)
        hits.setdefault("difference", []).append(inside(lower, target, upper))
        own = drawn.trained[0][:, 0] if seeds == 1 else methods[0].accuracy
        bounds = accuracy_bounds(a)
        hits.setdefault("accuracy", []).append(inside(bounds[0], own, bounds[1]))
        for name, (low, high) in plain(a, b).items() if seeds == 3 else ():
            hits.setdefault(name, []).append(inside(low, target, high))
    shares = {name: float(np.concatenate(parts).mean()) for name, parts in hits.items()}
    return {**shares, "median_width": float(np.median(np.concatenate(widths)))}


def coverage(experiments: int) -> list[dict[str, object]]:
    """Every number of items, seeds and seed deviation, with a true difference of two points."""
    rows: list[dict[str, object]] = []
    for n, seeds, sd in itertools.product(ITEMS, SEEDS, SEED_SDS):
        methods = [Method(BASE + 0.02, sd), Method(BASE, sd)]
        rows.append({"n": n, "seeds": seeds, "seed_sd": sd, **coverage_cell(methods, seeds, n, experiments)})
    return rows


def stress(experiments: int) -> list[dict[str, object]]:
    """Away from the model the estimator is tuned to: unlike seed deviations, few errors, unlike answers."""
    cases = {
        "seed sd 0.3 against 1.5 points": ([Method(0.82, 0.015), Method(0.80, 0.003)], None),
        "accuracy 97% against 96%": ([Method(0.97, 0.003), Method(0.96, 0.003)], None),
        "nearly independent answers": ([Method(0.82, 0.01), Method(0.80, 0.01)], World(0.2, 0.4)),
        "nearly equal answers": ([Method(0.82, 0.002), Method(0.80, 0.002)], World(0.97, 0.98)),
    }
    return [
        {"case": name, "n": n, "seeds": seeds, **coverage_cell(methods, seeds, n, experiments, world)}
        for (name, (methods, world)), n, seeds in itertools.product(cases.items(), (200, 3270), (3, 5))
    ]


def family(drawn: Experiments) -> tuple[list[tuple[int, int]], list[PairedBatch], np.ndarray, np.ndarray]:
    """All pairs of methods: indices, comparisons, p-values [R, M] and Holm's [R, M]."""
    pairs = list(itertools.combinations(range(len(drawn.correct)), 2))
    batches = [compare_batch(drawn.correct[i], drawn.correct[j]) for i, j in pairs]
    p = np.stack([batch.p for batch in batches], axis=1)
    return pairs, batches, p, holm(p)


def family_cell(methods: list[Method], seeds: int, n: int, experiments: int) -> dict[str, float]:
    """Shares of families with a claim that is false, with and without Holm, and simultaneous coverage.

    A claim is false when its sign is not that of the truth: for one seed, that of the trained models.
    ``misread`` counts the families where one-seed claims, read as claims about methods, are false.
    """
    false, raw, misread, covered = [], [], [], []
    for drawn in chunks(methods, seeds, n, experiments):
        pairs, batches, p, adjusted = family(drawn)
        sign = np.sign(np.stack([batch.difference for batch in batches], axis=1))
        true = np.stack([np.broadcast_to(truth(drawn, methods, i, j), len(p)) for i, j in pairs], axis=1)
        of_methods = np.array([methods[i].accuracy - methods[j].accuracy for i, j in pairs])
        wrong = sign != np.sign(np.where(np.abs(true) < 1e-9, 0, true))
        false.append(((adjusted <= 0.05) & wrong).any(axis=1))
        raw.append(((p <= 0.05) & wrong).any(axis=1))
        misread.append(((adjusted <= 0.05) & (sign != np.sign(of_methods))).any(axis=1))
        covered.append(all_cover(batches, adjusted, true))
    named = {"false_claim": false, "uncorrected": raw, "misread": misread, "all_cover": covered}
    return {name: float(np.concatenate(parts).mean()) for name, parts in named.items()}


def all_cover(batches: list[PairedBatch], adjusted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Whether all simultaneous intervals of a family hold their truths [R]."""
    held = np.ones(len(true), bool)
    for column, batch in enumerate(batches):
        lower, upper = batch.bounds(1 - 0.05 / len(batches))
        decided = adjusted[:, column] <= 0.05
        lower = np.where(decided & (batch.difference > 0), np.maximum(lower, 0), lower)
        upper = np.where(decided & (batch.difference < 0), np.minimum(upper, 0), upper)
        held &= inside(lower, true[:, column], upper)
    return held


def families(experiments: int) -> list[dict[str, object]]:
    """Four methods, six comparisons: all equal, and two equal with two better."""
    equal, better = (0.80,) * 4, (0.80, 0.80, 0.82, 0.84)
    cases = (("all equal", equal, 1000), ("all equal", equal, 3270), ("two better", better, 3270))
    return [
        {
            "case": case,
            "n": n,
            "seeds": seeds,
            "seed_sd": sd,
            **family_cell([Method(accuracy, sd) for accuracy in accuracies], seeds, n, experiments),
        }
        for (case, accuracies, n), seeds, sd in itertools.product(cases, SEEDS, SEED_SDS)
    ]


def power_cell(n: int, seeds: int, sd: float, difference: float, experiments: int) -> list[dict[str, float]]:
    """Power promised and power found, for one comparison and as one of a family of six."""
    methods = [Method(BASE + difference, sd), Method(BASE, sd)]
    between_seeds = (seed_disagreement(methods[0]) + seed_disagreement(methods[1])) / 2
    design = (n, seeds, BASE, method_disagreement(*methods), sd, difference)
    parts = [compare_batch(*drawn.correct).p for drawn in chunks(methods, seeds, n, experiments)]
    p = np.concatenate(parts)
    return [
        {
            "comparisons": family_size,
            "promised": power(*design, seed_disagreement=between_seeds, comparisons=family_size),
            "found": float((p <= 0.05 / family_size).mean()),
        }
        for family_size in (1, 6)
    ]


def powers(experiments: int) -> list[dict[str, object]]:
    """Power over a range of designs; with one seed the trained models differ by exactly this much."""
    return [
        {"n": n, "seeds": seeds, "seed_sd": sd, "difference": difference, **row}
        for n, seeds, sd, difference in itertools.product(ITEMS, SEEDS, SEED_SDS, (0.03, 0.05))
        if seeds > 1 or sd == 0
        for row in power_cell(n, seeds, sd, difference, experiments)
    ]


def margin_cell(n: int, seeds: int, sd: float, experiments: int) -> dict[str, float]:
    """How often a difference that is exactly the margin passes for equivalent or not inferior."""
    methods = [Method(BASE - MARGIN, sd), Method(BASE, sd)]
    lower, upper = [], []
    for drawn in chunks(methods, seeds, n, experiments):
        bounds = compare_batch(*drawn.correct).bounds(0.90)
        lower.append(bounds[0])
        upper.append(bounds[1])
    low, high = np.concatenate(lower), np.concatenate(upper)
    return {
        "equivalent": float(((low > -MARGIN) & (high < MARGIN)).mean()),
        "not_inferior": float((low > -MARGIN).mean()),
    }


def margins(experiments: int) -> list[dict[str, object]]:
    """Errors of the margin tests; with one seed the trained models differ by exactly the margin."""
    return [
        {"n": n, "seeds": seeds, "seed_sd": sd, **margin_cell(n, seeds, sd, experiments)}
        for n, seeds, sd in itertools.product(ITEMS, SEEDS, SEED_SDS)
        if seeds > 1 or sd == 0
    ]


def draw_coverage(rows: list[dict], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    marks, colours = {200: "o", 1000: "s", 3270: "^"}, {1: "C7", 2: "C4", 3: "C0", 5: "C2"}
    for place, ((n, mark), (seeds, colour)) in enumerate(itertools.product(marks.items(), colours.items())):
        cells = [row for row in rows if (row["n"], row["seeds"]) == (n, seeds)]
        x = [100 * row["seed_sd"] + (place - 5.5) * 0.025 for row in cells]
        label = f"S={seeds}" if n == 200 else None
        axes[0].plot(x, [100 * row["difference"] for row in cells], mark, color=colour, ms=5, label=label)
    for n, mark in marks.items():
        axes[0].plot([], [], mark, color="black", ms=5, label=f"N={n}")
    axes[0].set(title="compare_pair", ylim=(90, 100), ylabel="coverage of the 95% interval (%)")
    axes[0].legend(ncols=2, fontsize=8, loc="lower left")
    named = {"difference": "compare_pair", "bootstrap over seeds": None, "t over seeds": None, "items only": None}
    for colour, (key, label) in enumerate(named.items()):
        for n, line in ((200, ":"), (3270, "-")):
            cells = [row for row in rows if (row["n"], row["seeds"]) == (n, 3)]
            y = [100 * row[key] for row in cells]
            name = f"{label or key}, N={n}"
            axes[1].plot([100 * row["seed_sd"] for row in cells], y, line, color=f"C{colour}", label=name)
    axes[1].set(title="three seeds: what else one might do", ylim=(0, 100))
    axes[1].legend(fontsize=8, loc="lower right")
    for axis in axes:
        axis.axhspan(93, 97, color="C2", alpha=0.12, lw=0)
        axis.set_xlabel("standard deviation of accuracy over seeds (points)")
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def draw_errors(claims: list[dict], found: list[dict], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    kinds = (("false_claim", "-", "Holm"), ("uncorrected", ":", "uncorrected"))
    for seeds, colour in ((2, "C4"), (3, "C0"), (5, "C2")):
        cells = [row for row in claims if (row["case"], row["n"], row["seeds"]) == ("all equal", 3270, seeds)]
        for key, line, name in kinds:
            y = [100 * row[key] for row in cells]
            x = [100 * row["seed_sd"] for row in cells]
            axes[0].plot(x, y, line, marker=".", color=colour, label=f"S={seeds}, {name}")
    single = [row for row in claims if (row["case"], row["n"], row["seeds"]) == ("all equal", 3270, 1)]
    x = [100 * row["seed_sd"] for row in single]
    axes[0].plot(x, [100 * row["misread"] for row in single], "C3-", marker=".", label="S=1, read as methods")
    axes[0].axhline(5, color="black", lw=0.8, ls="--")
    axes[0].set(
        title="four equal methods, N=3270",
        xlabel="standard deviation of accuracy over seeds (points)",
        ylabel="families with a false claim (%)",
    )
    axes[0].legend(fontsize=8)
    axes[1].fill_between([0, 100], [-3, 97], [3, 103], color="C2", alpha=0.15, lw=0, label="within 3 points")
    for seeds, colour in ((1, "C7"), (2, "C4"), (3, "C0"), (5, "C2")):
        cells = [row for row in found if row["seeds"] == seeds]
        x, y = ([100 * row[key] for row in cells] for key in ("promised", "found"))
        axes[1].plot(x, y, ".", color=colour, label=f"S={seeds}")
    axes[1].set(title="power", xlabel="promised (%)", ylabel="found (%)", xlim=(0, 100), ylim=(0, 100))
    axes[1].legend(fontsize=8)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--experiments", type=int, default=2000, help="simulated experiments for each cell")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "figures")
    options = parser.parse_args()
    import matplotlib as mpl

    mpl.use("Agg")
    start = time.perf_counter()
    parts = {"coverage": coverage, "stress": stress, "families": families, "power": powers, "margins": margins}
    results: dict[str, object] = {}
    for name, part in parts.items():
        # Coverage and false claims are held to narrower bounds than power.
        doubled = name in {"coverage", "families"}
        results[name] = part(options.experiments * (2 if doubled else 1))
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    results["provenance"] = {
        "experiments": options.experiments,
        "seconds": round(time.perf_counter() - start),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "machine": platform.machine(),
    }
    options.results.mkdir(parents=True, exist_ok=True)
    options.figures.mkdir(parents=True, exist_ok=True)
    (options.results / "coverage.json").write_text(json.dumps(results, indent=1) + "\n")
    draw_coverage(results["coverage"], options.figures / "statistics-coverage.png")
    draw_errors(results["families"], results["power"], options.figures / "statistics-errors.png")


if __name__ == "__main__":
    main()

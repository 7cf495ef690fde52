"""Could the degrees of freedom be chosen better? The estimator and its neighbours on random numbers of their own.

    python benchmarks/estimator_choice.py [--draws FILE]

Writes benchmarks/results/estimator_choice.json. ``noise`` is the share of the seed-by-item noise that is taken out of
the seed mean squares where they enter the degrees of freedom, ``mixed`` the factor of the last term; (0, 0.8) is what
``welltuned.stats`` does. The random numbers are not those of coverage.py, on which 0.8 was chosen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import zlib
from pathlib import Path

import numpy as np
from scipy.stats import t

from welltuned.stats import holm
from welltuned.stats.simulation import Method, simulate
from welltuned.stats.variance import moments

RESULTS = Path(__file__).resolve().parent / "results" / "estimator_choice.json"
VARIANTS = ((0.0, 0.8), (0.0, 1.6), (0.2, 1.6), (0.5, 0.8), (0.5, 2.4))
FAMILIES = [(n, 3, sd) for n in (200, 1000, 3270) for sd in (0.005, 0.01, 0.015)]
FAMILIES += [(n, 5, sd) for n in (1000, 3270) for sd in (0.005, 0.01)]
COVERAGE = [(n, 3, sd) for n in (200, 1000, 3270) for sd in (0, 0.005, 0.01, 0.015)]
COVERAGE += [(n, 5, sd) for n in (200, 1000, 3270) for sd in (0, 0.005, 0.01)]


def draw(methods: list[Method], seeds: int, n: int, experiments: int) -> np.ndarray:
    """[pairs, 6, R]: difference, item variance, and of A and of B mean square and noise, as they enter the variance."""
    rng = np.random.default_rng(zlib.crc32(repr((methods, seeds, n, None, "second")).encode()))
    size = max(1, 4_000_000 // (seeds * n))
    parts = []
    for start in range(0, experiments, size):
        drawn = simulate(methods, seeds, n, min(size, experiments - start), rng)
        of = [moments(correct) for correct in drawn.correct]
        rows = []
        for a, b in itertools.combinations(of, 2):
            item = (a.item_mean - b.item_mean).var(axis=-1, ddof=1) / n
            squares = (a.between / seeds, b.between / seeds, a.noise / seeds, b.noise / seeds)
            rows.append(np.stack([a.accuracy - b.accuracy, item, *squares]))
        parts.append(np.stack(rows))
    return np.concatenate(parts, axis=-1)


def estimate(x: np.ndarray, seeds: int, n: int, noise: float, mixed: float) -> tuple[np.ndarray, ...]:
    """Difference, standard error and degrees of freedom [R] of a variant."""
    difference, item, square_a, square_b, noise_a, noise_b = x
    seed = np.maximum(square_a + square_b - noise_a - noise_b, 0)
    variance = np.where(item + seed > 0, item + seed, 2 / (n + 2) ** 2)
    used = np.maximum(square_a - noise * noise_a, 0) ** 2 + np.maximum(square_b - noise * noise_b, 0) ** 2
    share = seed / variance
    inverse = (item**2 / (n - 1) + used / (seeds - 1)) / variance**2 + mixed * share**2 * (1 - share) / (seeds - 1)
    return difference, np.sqrt(variance), 1 / np.clip(inverse, 1e-12, 1 / (seeds - 1))


def covers(x: np.ndarray, seeds: int, n: int, variant: tuple[float, float]) -> float:
    """Share of 95% intervals that hold the true two points."""
    difference, error, df = estimate(x[0], seeds, n, *variant)
    return float((np.abs(difference - 0.02) <= t.isf(0.025, df) * error).mean())


def false_claims(x: np.ndarray, seeds: int, n: int, variant: tuple[float, float]) -> float:
    """Share of families of six with a claim, where four methods are equal."""
    p = []
    for pair in x:
        difference, error, df = estimate(pair, seeds, n, *variant)
        p.append(np.minimum(1, 2 * t.sf(np.abs(difference) / error, df)))
    return float((holm(np.stack(p, axis=1)) <= 0.05).any(axis=1).mean())


def drawn(path: Path | None, experiments: int) -> dict[str, np.ndarray]:
    """All draws, from the file where it exists; a quarter of an hour otherwise."""
    if path is not None and path.is_file():
        return dict(np.load(path))
    found = {f"fam_{cell}": draw([Method(0.80, cell[2])] * 4, cell[1], cell[0], experiments) for cell in FAMILIES}
    for n, seeds, sd in COVERAGE:
        size = experiments * 5 // 3 if n < 3000 else experiments * 5 // 6
        found[f"cov_{(n, seeds, sd)}"] = draw([Method(0.82, sd), Method(0.80, sd)], seeds, n, size)[:1]
    if path is not None:
        np.savez(path, **found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=Path, help="keep the simulated moments here, or read them")
    parser.add_argument("--experiments", type=int, default=12_000, help="families a cell")
    options = parser.parse_args()
    draws = drawn(options.draws, options.experiments)
    rows = []
    for variant in VARIANTS:
        for kind, cells, measure in (("coverage", COVERAGE, covers), ("false claims", FAMILIES, false_claims)):
            for n, seeds, sd in cells:
                x = draws[f"{'cov' if kind == 'coverage' else 'fam'}_{(n, seeds, sd)}"]
                x = x if x.ndim == 3 else x[None]
                share = measure(x, seeds, n, variant)
                rows.append({"noise": variant[0], "mixed": variant[1], "what": kind, "n": n, "seeds": seeds,
                             "seed_sd": sd, "experiments": x.shape[-1], "share": round(share, 5)})  # fmt: skip
        mine = [row for row in rows if (row["noise"], row["mixed"]) == variant]
        covered = [row["share"] for row in mine if row["what"] == "coverage"]
        claims = max(row["share"] for row in mine if row["what"] == "false claims")
        print(f"noise {variant[0]}, mixed {variant[1]}: coverage {min(covered):.2%} to {max(covered):.2%}, "
              f"false claims up to {claims:.2%}")  # fmt: skip
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""A small problem that a tiny model can learn and counting words cannot: made-up words are spelt as their class is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from families import WORDS

LETTERS = ("bdfglp", "kmnrsv")
"""Letters of the made-up words of either class; no word occurs twice."""
SIZES = {"train": 240, "dev": 120, "test": 120}


def rows(n: int, seed: int, sizes: tuple[int, int] = (6, 6)) -> list[dict[str, str]]:
    """Questions of filler; passages with three made-up words, and filler up to so many words a class."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        label = int(random.random() < 0.55)
        made = ["".join(random.choice(list(LETTERS[label]), 7)) for _ in range(3)]
        words = [*made, *random.choice(WORDS, sizes[label])]
        random.shuffle(words)
        found.append(
            {"question": " ".join(random.choice(WORDS, 4)), "passage": " ".join(words), "answer": ("no", "yes")[label]}
        )
    return found


def write(folder: Path, splits: dict[str, list[dict[str, str]]]) -> Path:
    """train.csv, dev.csv and test.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in splits.items():
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)
    return folder


def healthy(folder: Path) -> Path:
    """The problem with nothing wrong."""
    return write(folder, {name: rows(n, seed) for seed, (name, n) in enumerate(SIZES.items())})

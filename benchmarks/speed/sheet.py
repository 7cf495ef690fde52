"""The course sheet's grid: of each method 3 rates by 7 and 9 epochs, with 3 seeds."""

from __future__ import annotations

from dataclasses import replace

from work import Work

RATES = {"full": 1e-4, "lora": 1e-3, "prefix": 1e-2, "head": 5e-3}
AROUND = (0.3, 1.0, 3.0)
"""A grid's rates, in those of a single run."""
SEEDS = (0, 1, 2)
CONSTANT = {"schedule": "constant", "warmup_ratio": "0"}
"""A search that varies the length lets its trials share their beginnings."""


def sheet(base: Work, method: str) -> Work:
    """The grid of one method, on the rows of ``base``."""
    settings = [(factor * RATES[method], epochs) for factor in AROUND for epochs in (7, 9)]
    return replace(base, method=method, settings=settings, seeds=list(SEEDS), training=CONSTANT)

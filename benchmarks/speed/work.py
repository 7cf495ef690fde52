"""What both sides are given, and what each says of what it did."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import torch

PROMPT = 8
"""Trained embeddings of a prefix, on both sides."""


@dataclass(frozen=True)
class Work:
    """One task: settings of one method, each trained with each seed on the same rows.

    Attributes:
        settings: (learning rate, epochs) of each trial.
        way: of the peer, "default" or "best" flags; of ours, "fast" or "plain".
        training: of our options, those that are not the peer's defaults.
        pruner: of ours, the rule by which trials that fall behind are given up; empty for none.
        device: "cpu" or "cuda".
    """

    data: str
    model: str
    method: str
    settings: list[tuple[float, int]]
    rows: int
    dev_rows: int
    max_length: int = 256
    batch_size: int = 32
    seeds: list[int] = field(default_factory=lambda: [0])
    way: str = "default"
    precision: str = "fp32"
    threads: int = 2
    training: dict[str, str] = field(default_factory=dict)
    pruner: str = ""
    device: str = "cpu"

    @property
    def expression(self) -> str:
        """The method as Welltuned takes it."""
        return f"prefix:length={PROMPT}" if self.method == "prefix" else self.method


@dataclass
class Done:
    """What it took.

    Attributes:
        seconds: from texts and weights on disk to every trial's dev accuracy.
        train_seconds: of these, training steps, and what is computed once for them.
        tokens: that were trained on, without padding, each epoch anew.
        chosen: the trial with the best dev accuracy.
        peak_bytes: the process's largest resident memory, or on a GPU the most that torch had allocated there.
        dev_accuracy: of each trial, seed by seed.
        correct: of the first trial: whether each dev row was right.
        given_up: trials that did not come to their end.
    """

    seconds: float
    train_seconds: float
    tokens: int
    peak_bytes: int
    dev_accuracy: list[float]
    correct: list[int]
    chosen: int = 0
    given_up: int = 0


def answer(do: Callable[[Work], Done]) -> None:
    """Read the work from the command line, do it, and print what it took as the last line."""
    given = json.loads(sys.argv[1])
    given["settings"] = [tuple(one) for one in given["settings"]]
    work = Work(**given)
    done = do(work)
    done.peak_bytes = _peak(work.device)
    print(json.dumps(asdict(done)))


def _peak(device: str) -> int:
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

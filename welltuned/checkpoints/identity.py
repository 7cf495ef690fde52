"""Of which training a checkpoint is: whoever goes on with another's would end elsewhere without knowing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field

import torch

from welltuned import __version__
from welltuned.record import processor_name

WORDS = {"spec": "the options", "data": "the data", "weights": "the pretrained weights"}


def circumstances() -> dict[str, str]:
    """What may change the last bits of a result, and nothing else."""
    return {
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "welltuned": __version__,
        "processor": processor_name(),
    }


@dataclass(frozen=True)
class Identity:
    """Of one training.

    Attributes:
        spec: the id of what is to be run.
        data, weights: SHA-256 of what it reads.
        beside: circumstances that do not make it another training.
    """

    spec: str
    data: str
    weights: str
    beside: dict[str, str] = field(default_factory=circumstances)

    @property
    def key(self) -> str:
        """Eight hexadecimal digits that tell trainings apart."""
        return hashlib.sha256(json.dumps([self.spec, self.data, self.weights]).encode()).hexdigest()[:8]

    @property
    def told(self) -> dict[str, str]:
        """All of it by name."""
        return {name: getattr(self, name) for name in WORDS} | self.beside

    def others(self, told: dict[str, str]) -> str:
        """In words, what another one is of; empty where it is of this training."""
        return " and ".join(words for name, words in WORDS.items() if told.get(name) != getattr(self, name))

    def elsewhere(self, told: dict[str, str]) -> str:
        """In words, under which other circumstances it was taken; empty where they are the same."""
        return ", ".join(
            f"{name} {told.get(name)} instead of {here}" for name, here in self.beside.items() if told.get(name) != here
        )

"""Models by name, and models that are made for a measurement: speed depends on dimensions, not on weights."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

from welltuned.pretrained import pretrained
from welltuned.spec import ModelSpec

RANDOM = re.compile(r"random:([1-9]\d*)x([1-9]\d*)")
"""Hidden width and blocks, as in random:768x12 for BERT-base."""
HEAD = 64
"""Width of an attention head in BERT of every size."""


def dimensions(name: str) -> tuple[int, int] | None:
    """Hidden width and blocks of a random model; None for any other name.

    Raises:
        ValueError: it should be random, and is of no width that heads of 64 divide.
    """
    if not name.startswith("random:"):
        return None
    found = RANDOM.fullmatch(name)
    if found is None or int(found[1]) % HEAD:
        raise ValueError(f"{name} is no model; give random:HIDDENxLAYERS with a width that {HEAD} divides")
    return int(found[1]), int(found[2])


def made(hidden: int, layers: int, folder: Path) -> Path:
    """A BERT of these dimensions with random weights, MiniLM's tokenizer beside it; returns its folder."""
    origin = pretrained(ModelSpec(name="minilm"))
    config = BertConfig(
        vocab_size=origin.config.vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // HEAD,
        intermediate_size=4 * hidden,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    origin.tokenizer.save_pretrained(folder)
    return folder

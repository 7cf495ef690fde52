"""What every method promises, as checks of one encoder with one method attached."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from families import logits_of, tokenized, whole
from torch import Tensor, nn

from welltuned import methods
from welltuned.batches import Batch
from welltuned.encoders import Encoder
from welltuned.engine import Compute, prepare
from welltuned.fit import Fit
from welltuned.methods._base import Method
from welltuned.optimizer import adamw
from welltuned.pretrained import Pretrained
from welltuned.progress import Observer
from welltuned.spec import MethodSpec, TrainSpec
from welltuned.train import Training

CLASSES = 3
LABELS = ("no", "yes", "maybe")
PLAIN = Compute(torch.device("cpu"), "fp32", "plain")


@dataclass
class Subject:
    """An encoder with a method attached as a run attaches it, and a batch to train on."""

    origin: Pretrained
    encoder: Encoder
    method: Method[Any]
    spec: MethodSpec
    batch: Batch

    def logits(self) -> Tensor:
        return logits_of(self.encoder, self.batch)


def fit(*parts: Any) -> Fit:
    """Train from the first step to the end; takes what :class:`Training` takes."""
    training = Training(*parts)
    training.run()
    return training.fit()


def tiny_spec(name: str, **config: Any) -> MethodSpec:
    """A method's spec with its own values for tiny models, and these."""
    return MethodSpec(name=name, config=methods.config_of(name, {**methods.find(name).tiny, **config}))


_made: dict[tuple[Path, str, int], Encoder] = {}


def fresh_encoder(origin: Pretrained, head: str = "mean", seed: int = 0) -> Encoder:
    """An encoder of one's own; each is read from its folder once and copied from then on."""
    key = (origin.folder, head, seed)
    if key not in _made:
        _made[key] = origin.encoder(head, CLASSES, seed)
    return copy.deepcopy(_made[key])


def subject(origin: Pretrained, spec: MethodSpec, head: str = "mean", seed: int = 0) -> Subject:
    encoder, method = fresh_encoder(origin, head, seed), methods.build(spec)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        method.attach(encoder)
    encoder.frontier = method.frontier(encoder.shape)
    return Subject(origin, encoder, method, spec, whole(tokenized(origin, classes=CLASSES)))


def begun(
    origin: Pretrained,
    spec: MethodSpec,
    train: TrainSpec,
    compute: Compute,
    rows: tuple[int, int],
    *,
    dropout: bool = True,
    observer: Observer | None = None,
) -> Training:
    """A training that has not begun, on so many rows to learn from and of dev."""
    one = subject(origin, spec)
    for module in one.encoder.modules():
        if isinstance(module, nn.Dropout) and not dropout:
            module.p = 0.0
        if hasattr(module, "attention_dropout") and not dropout:
            module.attention_dropout = 0.0  # ModernBERT's rate, a number
    prepare(one.encoder, compute)
    learned, dev = (tokenized(origin, n, classes=CLASSES, seed=seed) for seed, n in enumerate(rows))
    return Training(one.encoder, one.method, learned, dev, train, compute, observer or Observer())


def take_steps(one: Subject, steps: int = 3, lr: float = 0.02) -> None:
    """Real optimizer steps in training mode, without weight decay: what moves, moves by its gradient."""
    optimizer = adamw(one.encoder, TrainSpec(lr=lr, weight_decay=0), PLAIN)
    one.encoder.train()
    assert one.batch.labels is not None
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(one.encoder(one.batch), one.batch.labels).backward()
        optimizer.step()


def snapshot(encoder: Encoder) -> dict[str, Tensor]:
    """Copies of all parameters and buffers by name."""
    return {name: value.detach().clone() for name, value in encoder.state_dict(keep_vars=True).items()} | {
        name: value.clone() for name, value in encoder.named_buffers()
    }


def trainable(encoder: Encoder) -> dict[str, nn.Parameter]:
    return {name: value for name, value in encoder.named_parameters() if value.requires_grad}


@contextmanager
def block_outputs(encoder: Encoder) -> Iterator[dict[int, Tensor]]:
    """The output of each block of the latest forward pass, by index."""
    outputs: dict[int, Tensor] = {}

    def note(index: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            outputs[index] = (output[0] if isinstance(output, tuple) else output).detach().clone()

        return hook

    handles = [block.register_forward_hook(note(i)) for i, block in enumerate(encoder.blocks)]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def outputs_of_blocks(one: Subject, mode: str) -> dict[int, Tensor]:
    one.encoder.train(mode == "train")
    with block_outputs(one.encoder) as outputs, torch.no_grad():
        one.encoder(one.batch)
    return outputs


def check_frontier(one: Subject) -> None:
    """Below the frontier nothing changes, neither by training nor by dropout; the block at it does change."""
    frontier, layers = one.encoder.frontier, one.encoder.shape.layers
    assert 0 <= frontier <= layers
    before = outputs_of_blocks(one, "eval")
    assert set(before) == set(range(layers))
    logits = one.logits()
    take_steps(one)
    for mode in ("eval", "train"):
        after = outputs_of_blocks(one, mode)
        for index in range(frontier):
            assert torch.equal(before[index], after[index]), f"block {index} moved in {mode} mode"
        if frontier < layers:
            assert not torch.allclose(before[frontier], after[frontier], atol=1e-4)
    assert not torch.allclose(logits, one.logits(), atol=1e-4)
    for name, parameter in one.encoder.backbone.named_parameters():
        below = any(name.startswith(f"{one.encoder.shape.blocks}.{index}.") for index in range(frontier))
        assert not (below and parameter.requires_grad), name

"""Trainings whose encoder is frozen but for small parts: their rows go through it end to end, in one pass.

Whatever is frozen and goes token by token is done once for the rows of all. What a training has of its own works on
its own rows: its trained modules, its head, its dropout, and attention, which knows where rows end. A pass of few
tokens spends much of its time on things that do not grow with them; several trainings share it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from welltuned.batches import Ints
from welltuned.encoders import Encoder
from welltuned.engine import Stream
from welltuned.errors import DivergedError
from welltuned.fit import scored
from welltuned.joined import Part, by_part
from welltuned.memory import in_pieces
from welltuned.progress import Observer
from welltuned.together.company import Company
from welltuned.train import Training

TOKEN_BY_TOKEN = (nn.Linear, nn.LayerNorm)
"""Modules that a training can have as its own among others: each token is worked on by itself."""


def can_go_abreast(encoder: Encoder) -> bool:
    """Whether rows of several such encoders, alike but for what trains, can go through one of them.

    They must stand end to end, and what trains in the backbone be small and go token by token.
    """
    trained = sum(one.numel() for one in encoder.backbone.parameters() if one.requires_grad)
    frozen = sum(one.numel() for one in encoder.backbone.parameters() if not one.requires_grad)
    fitting = all(type(module) in TOKEN_BY_TOKEN for module in _own(encoder).values())
    return encoder.joins and encoder.frontier < encoder.shape.layers and fitting and trained < frozen


def share_frozen(encoder: Encoder, other: Encoder) -> None:
    """Let the frozen tensors of an encoder's backbone be those of another that is built alike."""
    theirs = dict(other.backbone.named_parameters())
    for name, parameter in encoder.backbone.named_parameters():
        if not parameter.requires_grad:
            parameter.data = theirs[name].data


def _own(encoder: Encoder) -> dict[str, nn.Module]:
    """The modules of the backbone that hold what trains, by their paths."""
    return {
        path: module
        for path, module in encoder.backbone.named_modules()
        if any(parameter.requires_grad for parameter in module.parameters(recurse=False))
    }


class Abreast(Company):
    """K trainings whose encoders share their frozen tensors."""

    what = "runs"

    def __init__(self, trainings: Sequence[Training], observer: Observer) -> None:
        super().__init__(trainings, observer)
        self._compute = trainings[0].compute
        self._carrier = trainings[0].encoder
        self._own = [_own(one.encoder) for one in trainings]
        self._streams: list[Stream] = []
        self._most = len(trainings)

    def run(self, until: int | None = None, after: Callable[[], None] = lambda: None) -> None:
        """As every company.

        Raises:
            ResourceError: not even one row of one training fits the memory.
            StoppedError: in an evaluation, where a stop is wished for; it will be done anew.
        """
        self._streams = [one.stream() for one in self.trainings]
        for one in self.trainings:
            one.encoder.train()
        super().run(until, after)

    def _answer(self, at: int) -> None:
        super()._answer(at)
        self.trainings[at].encoder.train()

    def _take_step(self, active: list[int]) -> None:
        started = time.perf_counter()
        rows = {at: self.trainings[at].begin_step() for at in active}

        def whole(most: int) -> dict[int, Tensor]:
            with self._compute.weights_held():
                return {at: one for places in self._passes(rows, most) for at, one in self._backward(places, rows)}

        found = in_pieces(whole, self._most, len(active), "training", self._begin_anew)
        each = (time.perf_counter() - started) / len(active)
        for at in active:
            self._follow(at, found[at], len(rows[at]), each)

    def _follow(self, at: int, found: Tensor, rows: int, common: float) -> None:
        """One training's step along its own gradient; ``common`` is its share of what was done for all, in seconds."""
        training, started = self.trainings[at], time.perf_counter()
        try:
            training.follow(found, rows, lambda: common + time.perf_counter() - started)
        except DivergedError:
            self.diverged.add(at)
            training.encoder.zero_grad(set_to_none=True)
        else:
            training.has_drawn(self._streams[at])
            self._observer.advance(rows)

    def _begin_anew(self, most: int, _: str) -> None:
        self._most = most // 2
        self._streams = [one.stream() for one in self.trainings]
        for at in self._active:
            self.trainings[at].encoder.zero_grad(set_to_none=True)

    def _passes(self, rows: Mapping[int, Ints], most: int) -> list[list[int]]:
        """The trainings in order, so many in a pass as have tokens for one together."""
        found: list[list[int]] = []
        limit, room = self._compute.tokens_together, 0
        for at, own in rows.items():
            tokens = len(own) * self._carrier.prompt_length + int(self.trainings[at].train.lengths[own].sum())
            if not found or tokens > room or len(found[-1]) == most:
                found.append([])
                room = limit
            found[-1].append(at)
            room -= tokens
        return found

    def _backward(self, places: Sequence[int], rows: Mapping[int, Ints]) -> list[tuple[int, Tensor]]:
        """Forward and backward for some trainings; of each what :func:`scored` finds."""
        if len(places) == 1:
            (at,) = places
            with self._streams[at].drawing():
                return [(at, self.trainings[at].gradients(rows[at]))]
        trainings = [self.trainings[at] for at in places]
        batches = [self.trainings[at].train.batch(rows[at]).to(self._compute.device) for at in places]
        alone = [self._streams[at].drawing for at in places]
        losses, found = [], []
        with self._parts_of(places), self._compute.arithmetic():
            readings = [one.encoder.reading(batch) for one, batch in zip(trainings, batches, strict=True)]
            parts = [Part(reading.layout, own) for reading, own in zip(readings, alone, strict=True)]
            hidden = self._carrier.read(readings, parts)
            for training, batch, states, own in zip(trainings, batches, hidden, alone, strict=True):
                with own():
                    logits = training.encoder.head(states, batch.mask)
                assert batch.labels is not None
                loss, told = scored(logits, batch.labels)
                losses.append(loss)
                found.append(told)
        torch.stack(losses).sum().backward()
        return list(zip(places, found, strict=True))

    @contextmanager
    def _parts_of(self, places: Sequence[int]) -> Iterator[None]:
        """Where the carrier has a module that trains, each of these trainings has its own do the work on its part."""
        carried = self._own[0]
        try:
            for path, module in carried.items():
                module.forward = partial(by_part, _each_its_own([self._own[at][path].forward for at in places]))
            yield
        finally:
            for module in carried.values():
                module.__dict__.pop("forward", None)


def _each_its_own(forwards: Sequence[Callable[[Tensor], Tensor]]) -> Callable[[int, Tensor], Tensor]:
    return lambda at, x: forwards[at](x)

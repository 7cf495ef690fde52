"""THE training loop: one, readable, and without knowledge of any method; the best epoch on dev is kept.

Its whole state can be taken and put back at any step, in this process or in another: what follows is the same bit for
bit, given the same number of threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from welltuned.answering import predict
from welltuned.batches import Ints, TokenizedSplit, epoch_batches
from welltuned.checkpoints import State
from welltuned.encoders import Encoder
from welltuned.engine import Compute, Stream, random_state, restore_random, seed_everything, stream_of
from welltuned.fit import Best, Fit, Step, Totals, row_of, score, scored
from welltuned.memory import fewer, in_pieces
from welltuned.methods._base import Method
from welltuned.optimizer import adamw, clipped, put_trained_back, rate, rate_of, set_rate, trained_tensors
from welltuned.progress import Observer
from welltuned.record import EpochRow, Incident
from welltuned.spec import TrainSpec
from welltuned.watch import Watch


class Training:
    """One training on its way, from step to step.

    Its random streams are its own: other work between two calls of :meth:`run` does not change what it draws.

    Args:
        encoder: with ``method`` attached.
        train, dev: labelled splits.
        watch: looks on; one of its own where none is given.

    Attributes:
        step: optimizer steps done.
        per_epoch: steps of an epoch.
        steps: of all epochs.
        curve: one row an epoch.
        watch: looks on.
        seconds: training alone ("train") and evaluation on dev ("dev"), of all processes that went on from each other.
        incidents: what it met and got over.
        scale: share of the planned learning rate that steps take.
    """

    def __init__(
        self,
        encoder: Encoder,
        method: Method[Any],
        train: TokenizedSplit,
        dev: TokenizedSplit,
        spec: TrainSpec,
        compute: Compute,
        observer: Observer,
        watch: Watch | None = None,
    ) -> None:
        self.encoder, self.method, self.train, self.dev = encoder, method, train, dev
        self.spec, self.compute, self.observer = spec, compute, observer
        self.per_epoch = math.ceil(len(train) / spec.batch_size)
        self.steps = self.per_epoch * spec.epochs
        self.step = 0
        self.curve: list[EpochRow] = []
        self.seconds = {"train": 0.0, "dev": 0.0}
        self.incidents: list[Incident] = []
        self._at_once = {"training": spec.batch_size, "evaluation": spec.eval_batch_size}
        self.scale = 1.0
        seed_everything(spec.seed)
        self._streams = random_state(compute.device)
        self._optimizer = adamw(encoder, spec, compute)
        self._factor = rate(spec, self.steps)
        self._trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
        self.watch = watch or Watch(train.known_labels, dev.known_labels, observer)
        self.watch.started(encoder)
        self._totals = Totals()
        self._best: Best | None = None
        self._order: tuple[int, list[Ints]] = (0, [])

    @property
    def size(self) -> int:
        """Bytes of what trains, of its two moments, and of the best epoch's."""
        return 4 * sum(parameter.nbytes for parameter in self._trained)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train or to evaluate."""
        if self.is_unanswered:
            return False
        return self.step >= self.steps or self._is_out_of_patience

    @property
    def is_at_rest(self) -> bool:
        """Whether the step before has ended an epoch, and dev is answered."""
        return self.step == self.per_epoch * len(self.curve)

    @property
    def is_unanswered(self) -> bool:
        """Whether an epoch is trained and dev not yet answered after it."""
        return self.step == self.per_epoch * (len(self.curve) + 1)

    @property
    def _is_out_of_patience(self) -> bool:
        if self.spec.patience is None or self._best is None:
            return False
        return len(self.curve) - self._best.epoch >= self.spec.patience

    def run(self, until: int | None = None, after: Callable[[], None] = lambda: None) -> None:
        """Train on up to step ``until``, or to the end; dev is answered wherever an epoch ends.

        Args:
            after: called after every step, and after dev is answered where that ends an epoch.

        Raises:
            DivergedError: a loss or gradient is not finite; weights and state are those before that step.
            ResourceError: not even one row at a time fits the memory; weights and state as there.
            StoppedError: in an evaluation, where a stop is wished for; it will be done anew.
        """
        goal = self.steps if until is None else min(until, self.steps)
        restore_random(*self._streams, self.compute.device)
        self.encoder.train()
        has_worked = False
        while True:
            if self.is_unanswered:
                self.answer()
                self.encoder.train()
                has_worked = True
            if has_worked:
                after()
            if self.step >= goal or self.ended:
                return
            self._take_step()
            has_worked = True

    def _take_step(self) -> None:
        started, rows = time.perf_counter(), self.begin_step()
        self.follow(self.gradients(rows), len(rows), lambda: time.perf_counter() - started)
        self._streams = random_state(self.compute.device)

    def begin_step(self) -> Ints:
        """Set the next step's learning rate; returns its rows [B]."""
        set_rate(self._optimizer, self.rate_of_step())
        return self.rows_of_step()

    def follow(self, found: Tensor, rows: int, seconds: Callable[[], float]) -> None:
        """Take the step that was begun along the gradient that stands in what trains.

        Args:
            found: [2] float64, the mean loss of the step's rows and how many answers were right.
            rows: how many they are.
            seconds: asked at the end how long the step took.

        Raises:
            DivergedError: loss or gradient is not finite; weights and state are those before the step.
        """
        name = f"step {self._totals.steps + 1} of the epoch"
        loss, right, norm = clipped(found, self._trained, self.spec.max_grad_norm, name)
        self.watch.gradients()
        lr = rate_of(self._optimizer)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.took(Step(rows, loss, int(right), norm, lr, seconds()))

    def took(self, step: Step) -> None:
        """A step was taken, here or together with those of others: the sums of the epoch and the step go on."""
        totals = self._totals
        totals.loss += step.loss * step.rows
        totals.right += step.right
        totals.rows += step.rows
        totals.norm += step.norm
        totals.steps += 1
        totals.lr = step.lr
        totals.seconds += step.seconds
        self.seconds["train"] += step.seconds
        self.step += 1
        self.observer.advance(step.rows)

    def stream(self) -> Stream:
        """Its dropout's random stream, from where it stands now, for a step that is taken together with others'."""
        return stream_of(self._streams, self.compute.device)

    def has_drawn(self, stream: Stream) -> None:
        """Its dropout has drawn from this stream, up to where that stands now."""
        self._streams = stream.in_place(self._streams)

    def rate_of_step(self) -> float:
        """The learning rate of the next step."""
        return self._rate(self.step)

    def _rate(self, step: int) -> float:
        return self.spec.lr * self._factor(step) * self.scale

    def slow_down(self, scale: float, why: str) -> None:
        """Go on with this share of the planned learning rate, and keep why in ``incidents``."""
        self.scale = scale
        self.incidents.append(Incident(kind="divergence", step=self.step, what=why, rate=self.scale))

    def gradients(self, rows: Ints) -> Tensor:
        """The gradient of the mean loss over these rows, in pieces that fit caches and memory.

        Each piece's mean counts by its share of the rows, so that their sum is the mean over all; where the memory does
        not suffice, the step begins anew in pieces of half as many rows.

        Returns:
            [2] float64 on the device: the mean loss, and how many answers were right.
        """

        def whole(size: int) -> Tensor:
            with self.compute.weights_held():
                found = [self._piece(one, len(rows)) for one in self._pieces(rows, size)]
            return torch.stack(found).sum(dim=0)

        at_once = max(map(len, self._pieces(rows, self._at_once["training"])))
        return in_pieces(whole, at_once, len(rows), "training", self._begin_anew)

    def _pieces(self, rows: Ints, most: int) -> list[Ints]:
        return self.train.pieces(rows, self.compute.tokens_at_once, most, joined=self.encoder.joins)

    def _begin_anew(self, rows: int, told: str) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._shrink("training", rows, told)
        restore_random(*self._streams, self.compute.device)

    def _piece(self, rows: Ints, of: int) -> Tensor:
        batch = self.train.batch(rows).to(self.compute.device)
        with self.compute.arithmetic():
            logits = self.encoder(batch)  # [B, C]
        loss, found = scored(logits, _require(batch.labels), len(rows) / of)
        loss.backward()
        return found

    def _shrink(self, during: str, rows: int, told: str) -> None:
        """Do with half the rows at once from here on."""
        self._at_once[during] = rows // 2
        met = fewer(during, rows, told, self.step)
        self.incidents.append(met)
        self.observer.say(
            f"after step {self.step:,}: {met.what}; the batch of a step stays as it is, its dropout does not"
        )

    def rows_of_step(self) -> Ints:
        """[B] the rows of the next step; the observer is told where an epoch begins or is gone on with."""
        epoch, done = divmod(self.step, self.per_epoch)
        if self._order[0] != epoch + 1:
            self._order = (epoch + 1, epoch_batches(self.train, self.spec.batch_size, self.spec.seed, epoch + 1))
            self.observer.stage(f"epoch {epoch + 1}/{self.spec.epochs}", len(self.train))
            if done:
                self.observer.advance(self._totals.rows)
        return self._order[1][done]

    def answer(self) -> None:
        """Answer the dev rows after an epoch.

        Raises:
            DivergedError: an answer is not finite.
            ResourceError, StoppedError: as in :meth:`run`.
        """
        epoch, started, labels = len(self.curve) + 1, time.perf_counter(), self.dev.known_labels
        logits = predict(
            self.encoder,
            self.dev,
            self._at_once["evaluation"],
            self.compute,
            smaller=lambda rows, told: self._shrink("evaluation", rows, told),
        )
        seconds = time.perf_counter() - started
        planned = self._rate(self.step - 1)
        row = row_of(epoch, self._totals, logits, labels, planned, self._totals.seconds + seconds)
        if self._best is None or score(row) > score(self.curve[self._best.epoch - 1]):
            self._best = Best(epoch, self.method.state(self.encoder), logits)
        self.curve.append(row)
        self.seconds["dev"] += seconds
        self._totals = Totals()
        self.observer.epoch(row, self.spec.epochs)
        self.watch.epoch(self.curve, logits)
        if self._is_out_of_patience and self.step < self.steps:
            self.observer.say(f"stopped after epoch {epoch}: no better on dev since epoch {self._best.epoch}")

    def snapshot(self, *, copied: bool = True) -> State:
        """Where the training stands between two steps, or before the evaluation that ends an epoch.

        Args:
            copied: tensors of their own; without, those that train are the live ones, to be read before the next step.
        """
        before, watched = self.watch.taken()
        streams, numbers = self._streams
        tensors = trained_tensors(self.encoder, self._optimizer)
        if copied:
            tensors = {name: value.clone() for name, value in tensors.items()}
        tensors |= {"watch": before, **{f"random.{name}": value for name, value in streams.items()}}
        if self._best is not None:
            tensors |= {f"best.{name}": value for name, value in self._best.state.items()}
            tensors["dev.logits"] = torch.from_numpy(self._best.logits)
        return State(
            tensors,
            {
                "step": self.step,
                "totals": asdict(self._totals),
                "curve": [row.model_dump(mode="json") for row in self.curve],
                "best_epoch": None if self._best is None else self._best.epoch,
                "random": numbers,
                "watch": watched,
                "seconds": dict(self.seconds),
                "incidents": [one.model_dump(mode="json") for one in self.incidents],
                "at_once": dict(self._at_once),
                "scale": self.scale,
            },
        )

    def restore(self, state: State) -> None:
        """Go on from a state of this training, or of one that is the same up to there; the state stays as it is.

        Raises:
            KeyError: it is the state of another training.
        """
        tensors, numbers = state.tensors, state.numbers
        put_trained_back(tensors, self.encoder, self._optimizer)
        self._optimizer.zero_grad(set_to_none=True)
        self.watch.put_back(tensors["watch"].cpu(), numbers["watch"])
        self._streams = _under("random.", tensors), numbers["random"]
        self.step, self.seconds = numbers["step"], dict(numbers["seconds"])
        self.curve = [EpochRow(**row) for row in numbers["curve"]]
        self._totals = Totals(**numbers["totals"])
        self.incidents = [Incident(**one) for one in numbers["incidents"]]
        self._at_once, self.scale = dict(numbers["at_once"]), numbers["scale"]
        self._order = (0, [])
        self._best = None
        if numbers["best_epoch"] is not None:
            self._best = Best(numbers["best_epoch"], _under("best.", tensors), tensors["dev.logits"].cpu().numpy())

    def fit(self) -> Fit:
        """End the training: the encoder gets the tensors of its best epoch so far.

        Only :meth:`restore` makes it go on from here.
        """
        best = self._best
        assert best is not None
        self.method.load_state(self.encoder, best.state)
        alarms = self.watch.ended(self.curve, best.logits)
        return Fit(self.curve, best.epoch, best.state, best.logits, self.seconds, alarms, self.incidents)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _require(labels: Tensor | None) -> Tensor:
    if labels is None:
        raise RuntimeError("training asked for sealed labels")
    return labels

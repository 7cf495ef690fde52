"""The loop of pretraining: steps, and evaluations on the held-out rows; its state can be taken at any step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from welltuned import stopping
from welltuned.batches import spans
from welltuned.checkpoints import State
from welltuned.engine import Compute, random_state, restore_random, seed_everything
from welltuned.memory import fewer, in_pieces
from welltuned.optimizer import adamw, clipped, put_trained_back, rate, set_rate, trained_tensors
from welltuned.pretraining.masked_lm import MaskedLM
from welltuned.pretraining.masking import IGNORED, Masked, masked
from welltuned.pretraining.rows import Packing, rows_of_step
from welltuned.pretraining.tokens import Stream
from welltuned.progress import Observer
from welltuned.record import Incident
from welltuned.record.pretraining import StepRow, Trained, Unigram
from welltuned.spec import PretrainSpec

EVALUATED = 512
"""Held-out rows in an evaluation at most, evenly spread."""
AT_ONCE = 32
"""Held-out rows in a forward pass; fixed, as the masks are drawn for so many rows together."""
CHUNK = 1 << 22


@dataclass(frozen=True)
class Text:
    """Both parts of the text, and how rows are made and hidden.

    Attributes:
        streams: "train" and "held_out".
        how: the packing.
        spec: decides masks and order.
    """

    streams: dict[str, Stream]
    how: Packing
    spec: PretrainSpec

    def step(self, step: int) -> Masked:
        """The hidden rows of a step: a function of the seed and the step alone."""
        stream, spec = self.streams["train"], self.spec
        which = rows_of_step(step, self.how.count(stream), spec.batch_size, spec.seed)
        random = np.random.default_rng([spec.seed, step, 1])
        return masked(self.how.rows(stream, which), self.how, spec.mask_rate, spec.whole_words, random)

    def held_out(self) -> Iterator[Masked]:
        """The held-out rows, hidden the same at every evaluation and for every seed."""
        stream, spec = self.streams["held_out"], self.spec
        count = self.how.count(stream)
        which = np.unique(np.linspace(0, count - 1, min(count, EVALUATED)).round().astype(np.int64))
        for start in range(0, len(which), AT_ONCE):
            rows = self.how.rows(stream, which[start : start + AT_ONCE])
            yield masked(rows, self.how, spec.mask_rate, spec.whole_words, np.random.default_rng([start, 2]))


class Pretraining:
    """One pretraining on its way, from step to step, evaluated at some of them.

    Which rows come next, which of their tokens are hidden and the learning rate are functions of the seed and of the
    number of steps done, so that number is their whole state.

    Args:
        model: on its device.
        text: what it reads.

    Attributes:
        step: optimizer steps done.
        steps: in all.
        curve: a point for each evaluation, the first before any step.
        incidents: what it met and got over.
        scale: share of the planned learning rate that steps take.
    """

    def __init__(self, model: MaskedLM, text: Text, compute: Compute, observer: Observer) -> None:
        self.model, self.text, self.compute, self.observer = model, text, compute, observer
        self.spec = text.spec
        self.step, self.steps = 0, text.spec.steps
        self.curve: list[StepRow] = []
        self.incidents: list[Incident] = []
        seed_everything(self.spec.seed)
        self._streams = random_state(compute.device)
        self._optimizer = adamw(model, self.spec, compute)
        self._factor = rate(self.spec, self.spec.steps)
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.scale = 1.0
        self._at_once = {"pretraining": self.spec.batch_size, "evaluation": AT_ONCE}
        self._totals = {"loss": 0.0, "tokens": 0, "seconds": 0.0}
        self._announced = False

    @property
    def size(self) -> int:
        """Bytes of the model and its two moments."""
        return 3 * sum(parameter.nbytes for parameter in self._trained)

    @property
    def ended(self) -> bool:
        """Whether all steps are done and evaluated."""
        return self.step >= self.steps and self.is_at_rest

    @property
    def is_at_rest(self) -> bool:
        """Whether the step before was evaluated."""
        return bool(self.curve) and self.curve[-1].step == self.step

    def run(self, until: int | None = None, after: Callable[[], None] = lambda: None) -> None:
        """Train on up to step ``until``, or to the end.

        Args:
            after: called after every step, and after an evaluation that follows it.

        Raises:
            DivergedError: a loss or gradient is not finite; weights and state are those before that step.
        """
        goal = self.steps if until is None else min(until, self.steps)
        restore_random(*self._streams, self.compute.device)
        if not self._announced:
            self.observer.stage("pretraining", (self.steps - self.step) * self.spec.batch_size)
            self._announced = True
        has_worked = False
        while True:
            if not self.is_at_rest and is_evaluated(self.step, self.spec):
                self._evaluate()
            if has_worked:
                after()
            if self.step >= goal:
                self.model.train_head_only(False)
                return
            self._take_step()
            has_worked = True

    def _take_step(self) -> None:
        spec, started = self.spec, time.perf_counter()
        self.model.train_head_only(self.step < spec.head_steps)
        self.model.train()
        set_rate(self._optimizer, self._rate(self.step))
        rows = self.text.step(self.step)
        found, labels = self._gradients(rows), rows.predicted
        loss, _ = clipped(found, self._trained, spec.max_grad_norm, f"step {self.step + 1}")
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._totals["loss"] += loss * labels
        self._totals["tokens"] += labels
        self.step += 1
        self._streams = random_state(self.compute.device)
        self.observer.advance(spec.batch_size)
        self._totals["seconds"] += time.perf_counter() - started

    def _gradients(self, rows: Masked) -> Tensor:
        """The gradient of the mean loss over the hidden tokens, in pieces that fit the memory.

        Each piece's mean counts by its share of the hidden tokens, so that their sum is the mean over all.

        Returns:
            [1] float64 on the device: that loss.
        """

        def whole(size: int) -> Tensor:
            loss = torch.zeros(1, dtype=torch.float64, device=self.compute.device)
            with self.compute.weights_held():
                for piece in map(rows.take, spans(len(rows.inputs), size)):
                    if share := piece.predicted / rows.predicted:
                        part = _loss(self.model, piece, self.compute) * share
                        part.backward()
                        loss += part.detach()
            return loss

        return in_pieces(whole, self._at_once["pretraining"], len(rows.inputs), "pretraining", self._begin_anew)

    def _begin_anew(self, rows: int, told: str) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        self._shrink("pretraining", rows, told)
        restore_random(*self._streams, self.compute.device)

    def _shrink(self, during: str, rows: int, told: str) -> None:
        """Do with half the rows at once from here on."""
        self._at_once[during] = rows // 2
        met = fewer(during, rows, told, self.step)
        self.incidents.append(met)
        self.observer.say(f"after step {self.step:,}: {met.what}")

    def _rate(self, step: int) -> float:
        return self.spec.lr * self._factor(step) * self.scale

    def slow_down(self, scale: float, why: str) -> None:
        """Go on with this share of the planned learning rate, and keep why in ``incidents``."""
        self.scale = scale
        self.incidents.append(Incident(kind="divergence", step=self.step, what=why, rate=self.scale))

    def _evaluate(self) -> None:
        """A point of the curve: mean loss over the hidden tokens of the held-out rows, and the share named right."""
        started, step = time.perf_counter(), self.step
        self.model.eval()
        loss, right, tokens = 0.0, 0, 0
        for rows in self.text.held_out():
            stopping.obey()
            lost, named = in_pieces(
                partial(_answers, self.model, rows, self.compute),
                self._at_once["evaluation"],
                len(rows.inputs),
                "evaluation",
                partial(self._shrink, "evaluation"),
            )
            loss, right, tokens = loss + lost, right + named, tokens + rows.predicted
        what: Trained = "nothing" if not step else "head" if step <= self.spec.head_steps else "all"
        row = StepRow(
            step=step,
            trained=what,
            train_loss=self._totals["loss"] / self._totals["tokens"] if step else None,
            held_out_loss=loss / tokens,
            held_out_accuracy=right / tokens,
            lr=self._rate(step - 1) if step else 0.0,
            seconds=self._totals["seconds"] + time.perf_counter() - started,
        )
        self.curve.append(row)
        self._totals = {"loss": 0.0, "tokens": 0, "seconds": 0.0}
        if step:
            self.observer.say(told(row, self.steps))

    def snapshot(self, *, copied: bool = True) -> State:
        """Where it stands between two steps; without copies, to be read before the next step."""
        streams, numbers = self._streams
        tensors = trained_tensors(self.model, self._optimizer)
        if copied:
            tensors = {name: value.clone() for name, value in tensors.items()}
        tensors |= {f"random.{name}": value for name, value in streams.items()}
        rest = {
            "step": self.step,
            "curve": [row.model_dump(mode="json") for row in self.curve],
            "totals": dict(self._totals),
            "random": numbers,
            "incidents": [one.model_dump(mode="json") for one in self.incidents],
            "scale": self.scale,
            "at_once": dict(self._at_once),
        }
        return State(tensors, rest)

    def restore(self, state: State) -> None:
        """Go on from a state of this pretraining.

        Raises:
            KeyError: it is the state of another.
        """
        tensors, numbers = state.tensors, state.numbers
        put_trained_back(tensors, self.model, self._optimizer)
        self._optimizer.zero_grad(set_to_none=True)
        prefix = "random."
        streams = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
        self._streams = streams, numbers["random"]
        self.step, self._totals, self.scale = numbers["step"], dict(numbers["totals"]), numbers["scale"]
        self._at_once = dict(numbers["at_once"])
        self.curve = [StepRow(**row) for row in numbers["curve"]]
        self.incidents = [Incident(**one) for one in numbers["incidents"]]
        self._announced = False


def is_evaluated(step: int, spec: PretrainSpec) -> bool:
    """Whether the model is evaluated after so many steps; it is before the first."""
    return step % spec.eval_every == 0 or step in (spec.head_steps, spec.steps)


def told(row: StepRow, steps: int) -> str:
    """A point of the curve in one line."""
    trained = "" if row.train_loss is None else f"train loss {row.train_loss:.3f}, "
    return (
        f"  step {row.step}/{steps}  {trained}held-out loss {row.held_out_loss:.3f}, perplexity {row.perplexity:,.1f}, "
        f"{row.held_out_accuracy:.1%} right  {row.seconds:.1f} s"
    )


def _loss(model: MaskedLM, rows: Masked, compute: Compute) -> Tensor:
    """Mean cross-entropy over the hidden tokens."""
    return nn.functional.cross_entropy(*_named(model, rows, compute))


def _named(model: MaskedLM, rows: Masked, compute: Compute) -> tuple[Tensor, Tensor]:
    """[M, V] logits of the hidden tokens and their labels [M]."""
    with compute.arithmetic():
        logits, labels = model(*(_tensor(one, compute) for one in (rows.inputs, rows.mask, rows.labels)))
    return logits, labels


def _tensor(array: np.ndarray, compute: Compute) -> Tensor:
    return torch.from_numpy(array).to(compute.device)


@torch.no_grad()
def _answers(model: MaskedLM, rows: Masked, compute: Compute, size: int) -> tuple[float, int]:
    """Over the hidden tokens, so many rows at once: summed loss in nats, and how many are named right."""
    loss, right = 0.0, 0
    for piece in map(rows.take, spans(len(rows.inputs), size)):
        logits, labels = _named(model, piece, compute)
        loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        right += int((logits.argmax(dim=1) == labels).sum())
    return loss, right


def unigram(text: Text) -> tuple[Unigram, int]:
    """What the train stream's token frequencies alone reach on the held-out labels, and how many labels these are.

    Every token counts once more than it was seen, so that none is impossible.
    """
    counts = np.ones(text.how.vocabulary)
    stream = text.streams["train"].ids
    for start in range(0, len(stream), CHUNK):
        counts += np.bincount(stream[start : start + CHUNK], minlength=len(counts))
    counts[list(text.how.special)] = 0
    labels = np.concatenate([rows.labels[rows.labels != IGNORED] for rows in text.held_out()])
    loss = float(np.log(counts.sum()) - np.log(counts[labels]).mean())
    return Unigram(loss=loss, accuracy=float((labels == counts.argmax()).mean())), len(labels)

"""Bytes of a training step in closed form, from the model's structure alone: no weights, no products, no run.

Every tensor of a step has a size that is a sum of 1, T, T*T and B, B*T, B*T*T with whole coefficients, for B rows of
T tokens. So has the sum of all tensors alive at one moment. The step is played through on tensors without content
at six small sizes, the bytes alive are followed moment by moment, and six sizes determine the six coefficients of each
moment. The peak at any B and T is the largest of these polynomials. Nothing here knows a method, a family of encoders
or an engine, so the form holds for all of them, those to come included.

Where only one size is asked for, as in a run, that one is played alone (:func:`played_step`).

What a kernel allocates for itself alone is not in it: the pieces that attention works on, 10 MB at most; more where a
processor without bf16 imitates it.

For a block of BERT trained whole in fp32 with dropout on the fast engine, by hand: with u = 4*B*T*d and
s = 4*B*h*T*T, one block keeps for backward its input, Q, K, V, the attention's output and two inputs and one output of
norms (8u), the feed-forward part before and after its activation (2u*f/d), the masks of two dropouts (u/2), and of
attention the weights and what dropout kept (5s/4) and the sums of the weights' rows (4*B*h*T). The test of this module
holds the played form against it. Rows have no padding: one that has takes less, as rows go through end to end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedConfig

from welltuned import methods
from welltuned.batches import Batch
from welltuned.encoders import Encoder
from welltuned.engine import Compute, prepare
from welltuned.memory.meter import StorageMeter
from welltuned.memory.states import States, states
from welltuned.model import WelltunedConfig, bare_encoder
from welltuned.record import Memory
from welltuned.spec import MethodSpec

Coefficients = NDArray[np.int64]
PLAYED = [(rows, tokens) for rows in (2, 3) for tokens in (8, 16, 24)]
"""Sizes that determine the coefficients; one row alone would let torch leave out copies."""


def _terms(rows: int, tokens: int) -> NDArray[np.int64]:
    """1, T, T*T, B, B*T, B*T*T."""
    return np.array([factor * tokens**power for factor in (1, rows) for power in range(3)], np.int64)


@dataclass(frozen=True)
class Footprint:
    """Memory of a step as a function of rows B and tokens T.

    Attributes:
        states: weights, gradients, optimizer state.
        held: [6] what the forward pass leaves for backward.
        forward, backward, evaluation: [E, 6] each moment of a training step's passes, and of a forward pass without
            gradient, counted from where only weights and optimizer state stand. The last may be left out.
    """

    states: States
    held: Coefficients
    forward: Coefficients
    backward: Coefficients
    evaluation: Coefficients | None

    def step(self, rows: int, tokens: int) -> Memory:
        """The training step on B rows of T tokens."""
        terms = _terms(rows, tokens)
        forward, backward = (int((moments @ terms).max(initial=0)) for moments in (self.forward, self.backward))
        held = int(self.held @ terms)
        return _told(self.states, held, forward, backward, rows, tokens, "closed form")

    def step_in_pieces(self, rows: int, tokens: int, at_once: int) -> Memory:
        """The training step on B rows of T tokens that takes no more than ``at_once`` of them through together.

        From the second piece on the gradients of the first stand there; the peaks of that are bounded from above.
        A full piece is counted: those of shorter rows may be fuller than those of the longest.
        """
        step = self.step(min(rows, at_once), tokens)
        return step if rows <= at_once else _in_pieces(step)

    def evaluating(self, rows: int, tokens: int) -> int:
        """Peak bytes of a forward pass without gradient, weights included."""
        assert self.evaluation is not None
        return self.states.weights + int((self.evaluation @ _terms(rows, tokens)).max(initial=0))

    def largest(self, limit: int, tokens: int, *, train: bool = True) -> int:
        """The most rows of T tokens whose step (or forward pass) stays within ``limit`` bytes; 0 for none."""
        peak = (lambda rows: self.step(rows, tokens).peak) if train else partial(self.evaluating, tokens=tokens)
        low, high = 0, 1
        while peak(high) <= limit and high < 1 << 24:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if peak(middle) <= limit else (low, middle)
        return low

    def formula(self) -> str:
        """What waits for backward, in words: ``76,800*B*T + 216*B*T*T`` bytes."""
        names = ("", "*T", "*T*T", "*B", "*B*T", "*B*T*T")
        told = [f"{count:,}{name}" for count, name in zip(self.held.tolist(), names, strict=True) if count]
        return " + ".join(reversed(told)).replace("+ -", "- ") or "0"


def footprint(
    backbone: PreTrainedConfig,
    pooling: str,
    classes: int,
    spec: MethodSpec,
    compute: Compute,
    *,
    evaluated: bool = True,
) -> Footprint:
    """Play a step of a method on an encoder of this structure through, without content.

    Args:
        backbone: the encoder's config.
        pooling: "mean", "first" or "native".
        classes: C.
        spec: the method.
        compute: decides which tensors there are: engine and precision.
        evaluated: play a pass without gradient, too.
    """
    with torch.random.fork_rng(), FakeTensorMode(allow_non_fake_inputs=True):
        encoder = _blueprint(backbone, pooling, classes, spec, compute)
        training = [_played(partial(_step, encoder, compute), encoder, compute, *size) for size in PLAYED]
        encoder.eval()
        passes = [
            _played(partial(_forward, encoder, compute), encoder, compute, *size)[0] for size in PLAYED if evaluated
        ]
    middle = training[0][1]
    moments = _solved([history for history, _ in training])
    return Footprint(
        states=states(encoder),
        held=_solved([history[at : at + 1] for history, at in training])[0],
        forward=np.unique(moments[:middle], axis=0),
        backward=np.unique(moments[middle:], axis=0),
        evaluation=np.unique(_solved(passes), axis=0) if evaluated else None,
    )


def played_step(
    backbone: PreTrainedConfig,
    pooling: str,
    classes: int,
    spec: MethodSpec,
    compute: Compute,
    rows: int,
    tokens: int,
    at_once: int,
) -> Memory:
    """The training step on B rows of T tokens alone, in a sixth of the time that :func:`footprint` takes.

    Args:
        backbone, pooling, classes, spec, compute: as there.
        rows, tokens: B and T.
        at_once: no more of the rows go through together (see :meth:`Footprint.step_in_pieces`).
    """
    size = min(rows, at_once), tokens
    with torch.random.fork_rng(), FakeTensorMode(allow_non_fake_inputs=True):
        encoder = _blueprint(backbone, pooling, classes, spec, compute)
        history, middle = _played(partial(_step, encoder, compute), encoder, compute, *size)
    forward, backward = max(history[:middle], default=0), max(history[middle:], default=0)
    step = _told(states(encoder), history[middle], forward, backward, *size, "played through")
    return step if rows <= at_once else _in_pieces(step)


def _told(held_always: States, held: int, forward: int, backward: int, rows: int, tokens: int, how: str) -> Memory:
    """A step's memory, from its states, what waits for backward and the peaks of both passes beside them."""
    standing = held_always.weights + held_always.optimizer
    peaks = {
        "forward": standing + forward,
        "backward": standing + backward,
        "step": standing + held_always.gradients,
    }
    return Memory(
        weights=held_always.weights,
        gradients=held_always.gradients,
        optimizer=held_always.optimizer,
        activations=held,
        **peaks,
        peak=max(peaks.values()),
        rows=rows,
        tokens=tokens,
        how=how,
    )


def _in_pieces(step: Memory) -> Memory:
    """The same while the gradients of an earlier piece stand there: its peaks are bounded from above."""
    peaks = {name: getattr(step, name) + step.gradients for name in ("forward", "backward")}
    peak = max(*peaks.values(), step.step)
    return step.model_copy(update={**peaks, "peak": peak, "how": f"{step.how}, at most"})


def _blueprint(backbone: PreTrainedConfig, pooling: str, classes: int, spec: MethodSpec, compute: Compute) -> Encoder:
    """The encoder with its method attached, as a run has it, its tensors without content."""
    options: dict[str, Any] = {"num_labels": classes}
    config = WelltunedConfig(
        backbone=backbone.to_dict(), pooling=pooling, method=spec.model_dump(mode="json"), **options
    )
    with torch.device("meta"):
        encoder = bare_encoder(config)
    encoder.frontier = methods.build(spec).frontier(encoder.shape)
    for module in encoder.modules():
        _move(module, compute.device)
    return prepare(encoder, compute)


def _move(module: nn.Module, device: torch.device) -> None:
    """Give a module's own tensors, made on no device, a device but no content."""
    for name, parameter in module.named_parameters(recurse=False):
        empty = torch.empty(parameter.shape, dtype=parameter.dtype, device=device)
        setattr(module, name, nn.Parameter(empty, requires_grad=parameter.requires_grad))
    for name, buffer in module.named_buffers(recurse=False):
        setattr(module, name, torch.empty(buffer.shape, dtype=buffer.dtype, device=device))


def _played(
    work: Callable[[Batch, StorageMeter], int], encoder: Encoder, compute: Compute, rows: int, tokens: int
) -> tuple[list[int], int]:
    """Bytes alive at each moment of some work on a batch of this size, and the moment that the work tells."""
    ids = torch.zeros(rows, tokens, dtype=torch.int64, device=compute.device)
    labels = torch.zeros(rows, dtype=torch.int64, device=compute.device)
    lengths = (tokens,) * rows
    batch = Batch(ids, torch.ones_like(ids), None, labels, torch.zeros_like(labels), lengths=lengths)
    meter = StorageMeter()
    meter.ignore([*encoder.parameters(), *encoder.buffers(), ids, batch.mask, labels, batch.rows])
    with meter:
        middle = work(batch, meter)
    encoder.zero_grad(set_to_none=True)
    return meter.history, middle


def _step(encoder: Encoder, compute: Compute, batch: Batch, meter: StorageMeter) -> int:
    encoder.train()
    assert batch.labels is not None
    loss = nn.functional.cross_entropy(_forward_logits(encoder, compute, batch).float(), batch.labels)
    meter.history.append(meter.held)
    middle = len(meter.history) - 1
    loss.backward()
    return middle


def _forward(encoder: Encoder, compute: Compute, batch: Batch, meter: StorageMeter) -> int:
    with torch.no_grad():
        _forward_logits(encoder, compute, batch)
    return len(meter.history) - 1


def _forward_logits(encoder: Encoder, compute: Compute, batch: Batch) -> Tensor:
    with compute.arithmetic():
        logits: Tensor = encoder(batch)
    return logits


def _solved(histories: list[list[int]]) -> Coefficients:
    """[E, 6] the coefficients of each moment, from its bytes at the six sizes."""
    lengths = {len(history) for history in histories}
    if len(lengths) > 1:
        raise RuntimeError("a step has other moments at other sizes, so its memory has no closed form")
    terms = np.stack([_terms(*size) for size in PLAYED]).astype(np.float64)
    found: Coefficients = np.rint(np.linalg.solve(terms, np.array(histories, np.float64)).T).astype(np.int64)
    return found

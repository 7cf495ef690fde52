"""What looks on while the loop trains: which tensors got gradients and moved, and what is wrong so far.

The loop calls the four methods at four moments and knows nothing of what is made of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from welltuned import alarms
from welltuned.alarms import Trace, Training
from welltuned.progress import Observer
from welltuned.record import Alarm, EpochRow

Logits = NDArray[np.float32]
Ints = NDArray[np.int64]


class Watch:
    """Watches one run, and says each kind of alarm aloud once, at the epoch that raises it.

    Gradients are looked at in the steps 1, 2, 4, 8, ... since looking costs a pass over them: a tensor that gets none
    in any of these is taken to get none at all. Whether a tensor has moved is told by its sum and its norm.

    Args:
        train_labels: [M] of the training rows.
        dev_labels: [N].
        observer: is told of new alarms.
    """

    def __init__(self, train_labels: Ints, dev_labels: Ints, observer: Observer) -> None:
        self._majority = float(np.bincount(train_labels).max() / len(train_labels))
        self._labels, self._observer = dev_labels, observer
        self._tensors: dict[str, nn.Parameter] = {}
        self._before: dict[str, Tensor] = {}
        self._reached: dict[str, bool] = {}
        self._moved: dict[str, bool] = {}
        self._steps = 0
        self._said: set[str] = set()

    def started(self, encoder: nn.Module) -> None:
        """The method is attached; no step was made yet."""
        self._tensors = {name: one for name, one in encoder.named_parameters() if one.requires_grad}
        self._before = {name: _fingerprint(one) for name, one in self._tensors.items()}
        self._reached = dict.fromkeys(self._tensors, False)
        self._moved = dict.fromkeys(self._tensors, False)
        self._steps = 0

    def taken(self) -> tuple[Tensor, dict[str, Any]]:
        """What it remembers: [trained tensors, 2] of before the first step, and the rest as JSON can hold it."""
        before = torch.stack(list(self._before.values())) if self._before else torch.empty(0, 2)
        reached, moved = ([name for name, true in one.items() if true] for one in (self._reached, self._moved))
        return before, {"reached": reached, "moved": moved, "steps": self._steps, "said": sorted(self._said)}

    def put_back(self, before: Tensor, rest: dict[str, Any]) -> None:
        """Remember what :meth:`taken` found, after :meth:`started`."""
        self._before = dict(zip(self._tensors, before, strict=True))
        self._reached = {name: name in rest["reached"] for name in self._tensors}
        self._moved = {name: name in rest["moved"] for name in self._tensors}
        self._steps, self._said = rest["steps"], set(rest["said"])

    def gradients(self) -> None:
        """Backward has been called, and the optimizer's step has not."""
        self._steps += 1
        if self._steps & (self._steps - 1):
            return
        waiting = [
            (name, one.grad) for name, one in self._tensors.items() if one.grad is not None and not self._reached[name]
        ]
        if waiting:
            found = torch.stack([grad.count_nonzero() for _, grad in waiting]).cpu().tolist()
            self._reached |= {name: bool(count) for (name, _), count in zip(waiting, found, strict=True)}

    def epoch(self, curve: Sequence[EpochRow], logits: Logits) -> None:
        """An epoch has ended, its dev rows are answered."""
        for name, one in self._tensors.items():
            self._moved[name] = self._moved[name] or not torch.equal(_fingerprint(one), self._before[name])
        for alarm in self._raised(curve, logits, finished=False):
            if alarm.kind not in self._said:
                self._said.add(alarm.kind)
                self._observer.say(f"alarm after epoch {len(curve)}: {alarm.what}; to mend it: {alarm.mend}")

    def ended(self, curve: Sequence[EpochRow], logits: Logits) -> list[Alarm]:
        """All alarms of the run, given the dev logits [N, C] of the epoch that is kept."""
        return self._raised(curve, logits, finished=True)

    def _raised(self, curve: Sequence[EpochRow], logits: Logits, *, finished: bool) -> list[Alarm]:
        traces = [Trace(name, self._reached[name], self._moved[name]) for name in self._tensors]
        return alarms.raised(Training(curve, logits, self._labels, self._majority, traces, finished))


def _fingerprint(tensor: Tensor) -> Tensor:
    """[2] numbers that two different tensors hardly ever share; equal tensors always do."""
    whole = tensor.detach()
    return torch.stack([whole.sum(dtype=torch.float64), torch.linalg.vector_norm(whole, dtype=torch.float64)]).cpu()

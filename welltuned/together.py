"""Linear heads on the same constant features, trained together: one batched product a step serves all of them.

Each keeps what is its own: initialisation, order of rows, rate and schedule, decay, clipping, epochs, patience. Each
goes the way that it goes alone, up to rounding. One that diverges is left out, and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from welltuned.checkpoints import State
from welltuned.encoders import LinearHead
from welltuned.errors import DivergedError
from welltuned.optimizer import Stack
from welltuned.progress import Observer
from welltuned.record import Incident
from welltuned.train import Step, Training

MOMENTS = ("first", "second")
"""Of a stack; its values are the heads' own tensors."""


class Together:
    """K trainings of linear heads, not begun, on the same features and with batches of one size.

    Their heads' tensors lie in two stacks from here on, weights [K, C, d] and biases [K, C].

    Args:
        trainings: with observers that keep silent.
        observer: told of the rows of all.

    Attributes:
        step, steps: of the one that goes on longest.
        diverged: those that were left out, by their places.
        incidents, scale: none, and the whole of the planned rate; nothing here slows down.
    """

    def __init__(self, trainings: Sequence[Training], observer: Observer) -> None:
        self._all, self._observer = list(trainings), observer
        train, device = trainings[0].train, trainings[0].compute.device
        assert train.features is not None
        self._features = train.features.to(device)  # [N, d]
        self._labels = torch.from_numpy(train.known_labels).to(device)  # [N]
        self._heads = [_classifier(one) for one in trainings]
        self._weights = Stack.of([head.weight for head in self._heads])
        self._biases = Stack.of([head.bias for head in self._heads])
        for at, head in enumerate(self._heads):
            head.weight.data, head.bias.data = self._weights.values[at], self._biases.values[at]
        self._decays = torch.tensor([one.spec.weight_decay for one in trainings], device=device)
        self._most = torch.tensor([one.spec.max_grad_norm or torch.inf for one in trainings], device=device)
        self.step, self.steps = 0, max(one.steps for one in trainings)
        self.diverged: set[int] = set()
        self.incidents: list[Incident] = []
        self.scale = 1.0

    @property
    def _active(self) -> list[int]:
        return [at for at, one in enumerate(self._all) if at not in self.diverged and not one.ended]

    @property
    def size(self) -> int:
        """Of all of them."""
        return sum(one.size for one in self._all)

    @property
    def ended(self) -> bool:
        """Whether nothing is left to train or to evaluate."""
        return not self._active

    @property
    def is_at_rest(self) -> bool:
        """Whether the step before has ended an epoch."""
        return all(self._all[at].is_at_rest for at in self._active)

    def run(self, until: int | None = None, after: Callable[[], None] = lambda: None) -> None:
        """Train on up to step ``until``, or to the end; dev is answered wherever an epoch ends.

        Raises:
            StoppedError: in an evaluation, where a stop is wished for; it will be done anew.
        """
        goal = self.steps if until is None else until
        total = sum(len(self._all[at].train) * self._all[at].spec.epochs for at in self._active)
        self._observer.stage(f"training {len(self._active)} heads together", total)
        self._observer.advance(sum(_rows_done(self._all[at]) for at in self._active))
        has_worked = False
        while True:
            for at in self._active:
                if self._all[at].is_unanswered:
                    self._answer(at)
                    has_worked = True
            if has_worked:
                after()
            active = self._active
            if self.step >= goal or not active:
                return
            self._take_step(active)
            has_worked = True

    def _answer(self, at: int) -> None:
        try:
            self._all[at].answer()
        except DivergedError:
            self.diverged.add(at)

    def _take_step(self, active: list[int]) -> None:
        started = time.perf_counter()
        trainings = [self._all[at] for at in active]
        rows = torch.from_numpy(np.stack([one.rows_of_step() for one in trainings])).to(self._labels.device)  # [S, B]
        at = torch.tensor(active, device=rows.device)
        rates = [one.rate_of_step() for one in trainings]
        weights, biases = (stack.values[at].requires_grad_() for stack in (self._weights, self._biases))
        labels = self._labels[rows]
        logits = torch.baddbmm(biases[:, None], self._features[rows], weights.transpose(1, 2))  # [S, B, C]
        each = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        losses = each.view(labels.shape).mean(dim=1)  # [S]
        gradients = torch.autograd.grad(losses.sum(), (weights, biases))
        norms = torch.stack([one.flatten(1).square().sum(dim=1) for one in gradients]).sum(dim=0).sqrt()  # [S]
        right = (logits.argmax(dim=2) == labels).sum(dim=1)
        told = torch.stack([losses.detach().double(), norms.double(), right.double()]).cpu().numpy()
        fine = np.isfinite(told).all(axis=0)
        self.diverged.update(place for place, ok in zip(active, fine, strict=True) if not ok)
        chosen = torch.from_numpy(np.flatnonzero(fine)).to(rows.device)
        self._update(at[chosen], [one[chosen] for one in gradients], norms[chosen], torch.tensor(rates)[fine])
        self.step += 1
        seconds = (time.perf_counter() - started) / len(active)
        for place, training in enumerate(trainings):
            if fine[place]:
                loss, norm, count = told[:, place].tolist()
                self._show(active[place], [one[place] for one in gradients])
                training.took(Step(rows.shape[1], loss, int(count), norm, rates[place], seconds))
                self._observer.advance(rows.shape[1])

    def _update(self, at: Tensor, gradients: list[Tensor], norms: Tensor, rates: Tensor) -> None:
        """Clip as :func:`torch.nn.utils.clip_grad_norm_` does, and step."""
        factor = (self._most[at] / (norms + 1e-6)).clamp(max=1.0)
        rates = rates.to(norms)
        for stack, gradient, decays in (
            (self._weights, gradients[0], self._decays[at]),
            (self._biases, gradients[1], torch.zeros_like(rates)),
        ):
            clipped = gradient * factor.view(-1, *[1] * (gradient.dim() - 1))
            stack.step(clipped, at, rates, decays, self.step + 1)

    def _show(self, at: int, gradients: list[Tensor]) -> None:
        """Let the onlooker of one training see its gradients."""
        head = self._heads[at]
        head.weight.grad, head.bias.grad = gradients
        self._all[at].watch.gradients()
        head.weight.grad = head.bias.grad = None

    def snapshot(self, *, copied: bool = True) -> State:
        """Where all of them stand."""
        tensors = {
            f"{name}.{part}": getattr(stack, part)
            for name, stack in (("weights", self._weights), ("biases", self._biases))
            for part in MOMENTS
        }
        if copied:
            tensors = {name: value.clone() for name, value in tensors.items()}
        numbers: dict[str, Any] = {"step": self.step, "diverged": sorted(self.diverged), "members": []}
        for at, training in enumerate(self._all):
            state = training.snapshot(copied=copied)
            tensors |= {f"{at}.{name}": value for name, value in state.tensors.items()}
            numbers["members"].append(state.numbers)
        return State(tensors, numbers)

    def restore(self, state: State) -> None:
        """Go on from there.

        Raises:
            KeyError: it is the state of others.
        """
        for name, stack in (("weights", self._weights), ("biases", self._biases)):
            for part in MOMENTS:
                found = state.tensors[f"{name}.{part}"]
                if found.shape != stack.values.shape:
                    raise KeyError(name)
        for at, training in enumerate(self._all):
            own = {
                name.removeprefix(f"{at}."): value for name, value in state.tensors.items() if name.startswith(f"{at}.")
            }
            training.restore(State(own, state.numbers["members"][at]))
        for name, stack in (("weights", self._weights), ("biases", self._biases)):
            for part in MOMENTS:
                getattr(stack, part).copy_(state.tensors[f"{name}.{part}"])
        self.step, self.diverged = state.numbers["step"], set(state.numbers["diverged"])

    def slow_down(self, scale: float, why: str) -> None:
        """Never called for: one that diverges is left out instead of raising."""
        raise NotImplementedError


def _rows_done(training: Training) -> int:
    epochs, steps = divmod(training.step, training.per_epoch)
    return epochs * len(training.train) + steps * training.spec.batch_size


def _classifier(training: Training) -> nn.Linear:
    assert isinstance(training.encoder.head, LinearHead)
    return training.encoder.head.classifier

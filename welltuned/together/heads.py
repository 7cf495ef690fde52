"""Linear heads on the same constant features, trained together: one batched product a step serves all of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from welltuned.checkpoints import State
from welltuned.encoders import LinearHead
from welltuned.fit import Step
from welltuned.optimizer import Stack
from welltuned.progress import Observer
from welltuned.together.company import Company
from welltuned.train import Training

MOMENTS = ("first", "second")
"""Of a stack; its values are the heads' own tensors."""


class Heads(Company):
    """K trainings of linear heads on the same features.

    Their heads' tensors lie in two stacks from here on, weights [K, C, d] and biases [K, C].
    """

    what = "heads"

    def __init__(self, trainings: Sequence[Training], observer: Observer) -> None:
        super().__init__(trainings, observer)
        train, device = trainings[0].train, trainings[0].compute.device
        assert train.features is not None
        self._features = train.features.to(device)  # [N, d]
        self._labels = torch.from_numpy(train.known_labels).to(device)  # [N]
        self._heads = [_classifier(one) for one in trainings]
        weights = Stack.of([head.weight for head in self._heads])
        biases = Stack.of([head.bias for head in self._heads])
        for at, head in enumerate(self._heads):
            head.weight.data, head.bias.data = weights.values[at], biases.values[at]
        self._stacks = {"weights": weights, "biases": biases}
        self._decays = torch.tensor([one.spec.weight_decay for one in trainings]).to(device)
        self._most = torch.tensor([one.spec.max_grad_norm or torch.inf for one in trainings]).to(device)

    def _take_step(self, active: list[int]) -> None:
        started = time.perf_counter()
        trainings = [self.trainings[at] for at in active]
        rows = torch.from_numpy(np.stack([one.rows_of_step() for one in trainings])).to(self._labels.device)  # [S, B]
        at = torch.tensor(active).to(rows.device)
        rates = [one.rate_of_step() for one in trainings]
        weights, biases = (stack.values[at].requires_grad_() for stack in self._stacks.values())
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
        decays = self._decays[at]
        for stack, gradient, decay in zip(
            self._stacks.values(), gradients, (decays, torch.zeros_like(decays)), strict=True
        ):
            clipped = gradient * factor.view(-1, *[1] * (gradient.dim() - 1))
            stack.step(clipped, at, rates, decay, self.step + 1)

    def _show(self, at: int, gradients: list[Tensor]) -> None:
        """Let the onlooker of one training see its gradients."""
        head = self._heads[at]
        head.weight.grad, head.bias.grad = gradients
        self.trainings[at].watch.gradients()
        head.weight.grad = head.bias.grad = None

    def snapshot(self, *, copied: bool = True) -> State:
        """Where all of them stand, and the stacks' moments."""
        moments = {
            f"{name}.{part}.{own}": getattr(stack, part)[at]
            for name, stack in self._stacks.items()
            for part in MOMENTS
            for at, own in enumerate(self._ids)
        }
        if copied:
            moments = {name: value.clone() for name, value in moments.items()}
        state = super().snapshot(copied=copied)
        return State(moments | state.tensors, state.numbers)

    def restore(self, state: State) -> None:
        """Go on from there.

        Raises:
            KeyError: one of these was not among those.
        """
        moments = {
            (name, part): torch.stack([state.tensors[f"{name}.{part}.{own}"] for own in self._ids])
            for name in self._stacks
            for part in MOMENTS
        }
        super().restore(state)
        for (name, part), found in moments.items():
            getattr(self._stacks[name], part).copy_(found)


def _classifier(training: Training) -> nn.Linear:
    assert isinstance(training.encoder.head, LinearHead)
    return training.encoder.head.classifier

"""A small task that softmax learns, argmax does not, and straight-through does."""

from __future__ import annotations

from dataclasses import dataclass

from welltuned.attention import numbers, retrieval
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Experiment, Finding


@dataclass(frozen=True)
class Learning(Experiment):
    """A small task learned by gradient: softmax learns it, argmax does not, straight-through does."""

    rows: int = numbers.whole(8, "rows in a table", low=2, high=1000)
    width: int = numbers.whole(8, "numbers in a key and in a value", low=1, high=1000)
    noise: float = numbers.number(0.05, "standard deviation of what disturbs each number of the query", low=0)
    problems: int = numbers.whole(64, "problems in a step, and in the held-out set", low=1, high=10_000)
    steps: int = numbers.whole(100, "steps of the optimiser", low=1, high=100_000)
    lr: float = numbers.number(0.05, "learning rate", above=0, high=100)
    temperature: float = numbers.number(1.0, "of every softmax", above=0)
    seeds: tuple[int, ...] = numbers.wholes(
        (0, 1, 2, 3, 4), "each another rotation, start and set of problems", high=2**63 - 1
    )

    def run(self, encoders: Encoders) -> Finding:  # noqa: ARG002
        """Train with each estimator from the same starts on the same problems."""
        task = retrieval.Task(
            keys=self.rows,
            width=self.width,
            noise=self.noise,
            problems=self.problems,
            steps=self.steps,
            lr=self.lr,
            temperature=self.temperature,
            every=max(1, self.steps // 20),
        )
        result = retrieval.measure(seeds=self.seeds, task=task)
        rows = [
            (
                name.replace("_", " "),
                *(f"{float(accuracy[:, step].mean()):.0%}" for step in (0, -1)),
                *(float(loss[:, step].mean()) for step in (0, -1)),
                float(moved.mean()),
            )
            for name, accuracy, loss, moved in zip(
                result.names, result.accuracy, result.loss, result.moved, strict=True
            )
        ]
        lines = [
            f"find the row that a turned and noisy key asks for; guessing finds {result.guessing:.1%}; "
            f"means of {len(result.seeds)} seeds, {result.steps[-1]} steps",
            "",
            words.table(("estimator", "accuracy: start", "end", "loss: start", "end", "matrix moved by"), rows),
        ]
        return Finding(result.to_dict(), lines, {"retrieval": lambda: retrieval.figure(result)})

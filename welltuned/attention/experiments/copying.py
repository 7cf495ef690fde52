"""How far ahead one key must be for attention to return its value within eps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from welltuned.attention import copying, numbers
from welltuned.attention.copying import Copy
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Finding, TableExperiment


@dataclass(frozen=True)
class CopyingOne(TableExperiment):
    """Copying one value: how large a margin returns it within eps, in your table and in tables of any size."""

    target: int | None = numbers.whole(None, "row to copy; else the one whose key matches best")
    eps: float = numbers.number(0.01, "error allowed, as a distance between values", above=0)
    sizes: tuple[int, ...] = numbers.wholes((2, 10, 100, 1000), "numbers of keys of random tables", low=2, high=100_000)
    trials: int = numbers.whole(20, "random tables of each size and margin", low=1, high=1000)
    seed: int = numbers.whole(0, "of the random tables", high=2**63 - 1)

    def run(self, encoders: Encoders) -> Finding:  # noqa: ARG002
        """The user's table, and the bound over random ones."""
        own = copying.copy(self.lookup(), self.target, self.eps)
        swept = copying.measure(self.sizes, trials=self.trials, seed=self.seed)
        margins = [m for m in range(len(swept.margins)) if m % 2 == 1]
        rows = [
            (n, swept.margins[m], float(swept.bound[i, m]), float(swept.worst[i, m]), float(swept.random[i, m]))
            for i, n in enumerate(swept.sizes)
            for m in margins[:3]
        ]
        needed = [(n, *swept.needed[:, i].tolist()) for i, n in enumerate(swept.sizes)]
        lines = [
            *_own(own),
            "",
            "Tables of any size, error as a share of D:",
            "",
            words.table(("keys", "margin", "bound", "worst table", "random tables, at most"), rows),
            "",
            words.table(("keys", *(f"margin for {eps:.3g} of D" for eps in swept.tolerances)), needed),
        ]
        return Finding(
            {"own": own.to_dict(), "tables": swept.to_dict()},
            lines,
            {"copying": lambda: copying.figure(swept), "copying-own": lambda: copying.figure_of(own)},
        )


def _own(own: Copy) -> list[str]:
    n = len(own.scores)
    lines = [
        f"copying value {own.target}, {words.vector(own.lookup.values[own.target])}, out of {n}",
        f"margin m = {words.number(own.margin)}, distance to the farthest other value D = {words.number(own.spread)}",
        f"weight that leaks to the other keys: {words.number(own.leaked)}",
        f"error {words.number(own.error)}; (n-1) e^-m / (1 + (n-1) e^-m) D = {words.number(own.bound)} at most",
    ]
    if own.needed == -math.inf:
        return [*lines, f"an error of {own.eps:g} needs no margin: no other value is farther away"]
    enough = f"an error of at most {own.eps:g} takes a margin of log((n-1)(D/eps-1)) = {words.number(own.needed)}"
    if own.stretch == math.inf:
        return [*lines, f"{enough};", "this key does not lead, and a longer query only leads further away from it"]
    if own.stretch == 1:
        return [*lines, f"{enough}, which it has"]
    return [
        *lines,
        f"{enough}:",
        f"a query {words.number(own.stretch)} times as long has it, and its error is {words.number(own.reached)}",
    ]

"""Averaging two values with one query."""

from __future__ import annotations

import math
from dataclasses import dataclass

from welltuned.attention import averaging, numbers
from welltuned.attention.averaging import Average
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Experiment, Finding, tensor
from welltuned.errors import UsageError


@dataclass(frozen=True)
class AveragingTwo(Experiment):
    """Averaging two values with q = c (k_a + k_b): how large c must be, and why c = 1/2 is not enough."""

    keys: numbers.Matrix = numbers.matrix(
        ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
        "one key a row, orthonormal for the closed form",
    )
    values: numbers.Matrix = numbers.matrix(((3, 2, -4), (3, -2, 4), (3, 2, 0), (3, 2, 4)), "one value a row")
    pair: tuple[int, int] = numbers.wholes((0, 1), "rows a and b to average", length=2)
    strength: float = numbers.number(10, "c in q = c (k_a + k_b)", low=0)
    eps: float = numbers.number(0.01, "error allowed, as a distance between values", above=0)
    scaled: bool = numbers.switch("divide scores by sqrt(h), as a transformer does")
    sizes: tuple[int, ...] = numbers.wholes((2, 4, 16, 64), "numbers of keys of random tables", low=2)
    width: int = numbers.whole(64, "h, numbers in a key of the random tables", low=2, high=1024)
    seed: int = numbers.whole(0, "of the random tables", high=2**63 - 1)

    def run(self, encoders: Encoders) -> Finding:  # noqa: ARG002
        """The user's table, and the closed form over random ones."""
        if len(self.keys) != len(self.values):
            raise UsageError(
                f"there are {len(self.keys)} keys and {len(self.values)} values",
                where="keys and values",
                mend="give one value to each key",
            )
        keys, values = tensor(self.keys), tensor(self.values)
        own = averaging.average(keys, values, self.pair, self.strength, eps=self.eps, scaled=self.scaled)
        swept = averaging.measure(self.sizes, width=self.width, seed=self.seed)
        rows = [
            (n, c, *(float(x) for s in (0, 1) for x in (swept.predicted[s, i, k], swept.measured[s, i, k])))
            for i, n in enumerate(swept.sizes)
            for k, c in enumerate(swept.strengths)
            if n > 2 and c in (0.5, 8, 64)
        ]
        lines = [
            *_own(own),
            "",
            f"Random tables, keys of {swept.width} numbers; error as a share of G:",
            "",
            words.table(
                ("keys", "c", "closed form", "measured", f"/ sqrt({swept.width}): closed form", "measured"), rows
            ),
        ]
        return Finding(
            {"own": own.to_dict(), "tables": swept.to_dict()},
            lines,
            {"averaging": lambda: averaging.figure(swept), "averaging-own": lambda: averaging.figure_of(own)},
        )


def _own(own: Average) -> list[str]:
    a, b = own.pair
    scale = "" if own.scale == 1 else f", scores divided by {words.number(own.scale)}"
    closed = f"closed form {words.number(own.closed)}" if own.orthonormal else "the keys are not orthonormal"
    lines = [
        f"values {a} and {b} out of {len(own.weights)}, c = {words.number(own.strength)}{scale}",
        f"wanted    {words.vector(own.wanted)}",
        f"output    {words.vector(own.output)}",
        f"weights   {words.vector(own.weights)}",
        f"error     {words.number(own.error)}; {closed}",
        f"c = 1/2   leaves an error of {words.number(own.half)}",
    ]
    if math.isnan(own.balanced):
        return [
            *lines,
            "The keys are linearly dependent, so their scores cannot be chosen freely, and no c is promised to do.",
        ]
    if not own.orthonormal:
        lines.append(
            f"balanced  a query that scores c on {a} and {b} and 0 on the others: {words.number(own.balanced)}"
        )
    if own.needed == -math.inf:
        return [*lines, f"An error of {own.eps:g} takes no c at all."]
    query = "" if own.orthonormal else " in the balanced query"
    return [
        *lines,
        f"An error of {own.eps:g} takes c = {words.number(own.needed)}{query}; "
        f"measured there: {words.number(own.reached)}",
    ]

"""Softmax, argmax, and the temperature between them."""

from __future__ import annotations

from dataclasses import dataclass

from welltuned.attention import weights
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Finding, TableExperiment
from welltuned.attention.weights import Cooling

_SHOWN = (100.0, 10.0, 1.0, 0.5, 0.1)


@dataclass(frozen=True)
class Weights(TableExperiment):
    """From scores to weights: softmax, argmax, and the temperature that leads from one to the other."""

    def run(self, encoders: Encoders) -> Finding:  # noqa: ARG002
        """One lookup at its own temperature, and as the temperature falls."""
        table = self.lookup()
        result = weights.measure(table)
        shown = weights.measure(table, _SHOWN)
        rows = zip(result.scores.tolist(), result.weights.tolist(), table.values, strict=True)
        falling = zip(_SHOWN, shown.path @ table.values, shown.distance.tolist(), shown.bound.tolist(), strict=True)
        lines = [
            f"query {words.vector(table.query)}, temperature {words.number(table.temperature)}",
            "",
            words.table(
                ("key", "score", "weight", "value"),
                ((i, score, weight, words.vector(v)) for i, (score, weight, v) in enumerate(rows)),
            ),
            "",
            f"output  {words.vector(result.output)}",
            f"argmax  {words.vector(result.argmax_output)}: {_lead(result)}",
            *result.notes,
            "",
            words.table(
                ("temperature", "output", "distance to limit", "at most"),
                ((t, words.vector(out), near, bound) for t, out, near, bound in falling),
            ),
        ]
        return Finding(result.to_dict(), lines, {"weights": lambda: weights.figure(result)})


def _lead(result: Cooling) -> str:
    if len(result.tied) == len(result.scores):
        return "there is no other key" if len(result.tied) == 1 else "all keys tie"
    leading = f"key {result.tied[0]} leads" if len(result.tied) == 1 else f"{len(result.tied)} keys tie and lead"
    return f"{leading} by {words.number(result.margin)}"

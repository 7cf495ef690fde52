"""Softmax, argmax, and the temperature between them."""

from __future__ import annotations

from dataclasses import dataclass

from welltuned.attention import weights
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Finding, TableExperiment

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
        winner = result.tied[0]
        lines = [
            f"query {words.vector(table.query)}, temperature {words.number(table.temperature)}",
            "",
            words.table(
                ("key", "score", "weight", "value"),
                ((i, score, weight, words.vector(v)) for i, (score, weight, v) in enumerate(rows)),
            ),
            "",
            f"output  {words.vector(result.output)}",
            f"argmax  {words.vector(result.argmax_output)}: key {winner} leads by {words.number(result.margin)}",
            *result.notes,
            "",
            words.table(
                ("temperature", "output", "distance to its limit", "at most"),
                ((t, words.vector(out), near, bound) for t, out, near, bound in falling),
            ),
        ]
        return Finding(result.to_dict(), lines, {"weights": lambda: weights.figure(result)})

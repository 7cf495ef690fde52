"""Why argmax cannot be trained, and the estimators that stand in."""

from __future__ import annotations

from dataclasses import dataclass

from welltuned.attention import estimators, numbers
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Finding, TableExperiment


@dataclass(frozen=True)
class Estimators(TableExperiment):
    """Gradients through softmax, argmax (none for query and keys), straight-through and Gumbel."""

    target: int = numbers.whole(3, "row whose value is wanted")
    draws: int = numbers.whole(1000, "draws of the Gumbel noise", low=1, high=100_000)
    seed: int = numbers.whole(0, "of the Gumbel noise", high=2**63 - 1)

    def run(self, encoders: Encoders) -> Finding:  # noqa: ARG002
        """The gradients of half the squared distance to the wanted value."""
        result = estimators.measure(self.lookup(), self.target, draws=self.draws, seed=self.seed)
        sizes = zip(
            (name.replace("_", " ") for name in result.names),
            (words.vector(row) for row in result.output),
            *(getattr(result, part).flatten(1).norm(dim=1).tolist() for part in ("query", "keys", "values")),
            strict=True,
        )
        tied = bool(result.difference.isnan().any())
        lines = [
            f"wanted: value {result.target}, {words.vector(result.lookup.values[result.target])}; "
            "loss: half the squared distance to it",
            "",
            words.table(("estimator", "output", "gradient of query", "of keys", "of values"), sizes),
            "",
            f"Gumbel rows are means of {result.draws} draws.",
            *([] if tied else [f"argmax, each number of the query moved a little: {words.vector(result.difference)}"]),
            *result.notes,
        ]
        return Finding(result.to_dict(), lines, {"estimators": lambda: estimators.figure(result)})

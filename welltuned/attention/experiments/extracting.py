"""Taking one value back out of an average."""

from __future__ import annotations

from dataclasses import dataclass

from welltuned.attention import extracting, numbers
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Experiment, Finding, tensor
from welltuned.errors import UsageError

_EXACT = 1e-10  # far above rounding, far below every real error


@dataclass(frozen=True)
class ExtractingOne(Experiment):
    """Extracting v_a from the average of v_a and v_b: M = 2 sum a a', why the 2, and other kinds of bases."""

    a: numbers.Matrix = numbers.matrix(((3, 4, 0, 0), (0, 0, 2, 0)), "vectors that v_a is made of, one a row")
    b: numbers.Matrix | None = numbers.matrix(None, "vectors that v_b is made of; else v_b itself")
    v_a: numbers.Vector = numbers.vector((3, 4, 4, 0), "the value to take out, a combination of the a's")
    v_b: numbers.Vector = numbers.vector((-4, 3, 0, 7), "the other value")
    share: float = numbers.number(0.5, "v_a's share of the mixture, 1/2 for the average", low=1e-6, high=1)
    width: int = numbers.whole(12, "numbers in a vector of the random bases", low=2, high=1024)
    rank: int = numbers.whole(3, "vectors in each random basis", low=1)
    trials: int = numbers.whole(20, "random bases of each kind", low=1, high=1000)
    seed: int = numbers.whole(0, "of the random bases", high=2**63 - 1)

    def run(self, encoders: Encoders) -> Finding:  # noqa: ARG002
        """The user's vectors, and every formula on every kind of basis."""
        if self.b is None and not any(self.v_b):
            raise UsageError("v_b is 0", where="v_b", mend="give b too, the vectors that v_b could be made of")
        b = self.b or (self.v_b,)
        lengths = {"a": len(self.a[0]), "b": len(b[0]), "v_a": len(self.v_a), "v_b": len(self.v_b)}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise UsageError(
                "the vectors differ in length", where="a, b, v_a and v_b", why=said, mend="make them equal"
            )
        v_a, v_b = tensor(self.v_a), tensor(self.v_b)
        own = extracting.extract(tensor(self.a).T, tensor(b).T, v_a, v_b, self.share)
        swept = extracting.measure(width=self.width, rank=self.rank, trials=self.trials, seed=self.seed)
        made = zip(own.formulas, own.returned, own.error.tolist(), strict=True)
        apart = "orthogonal" if own.apart else "not orthogonal"
        names = [name.replace("\n", " ") for name in swept.formulas]
        lines = [
            f"v_a      {words.vector(v_a)}",
            f"v_b      {words.vector(v_b)}",
            f"mixture  {words.vector(own.mixture)}, {words.number(own.share)} of v_a",
            f"The a's are {own.kind}, and {apart} to the b's.",
            "",
            words.table(("M", "M mixture", "error"), ((name, words.vector(v), _error(e)) for name, v, e in made)),
            "",
            f"Random bases, error as a share of v_a's length, the largest of {swept.trials}:",
            "",
            words.table(
                ("bases", *names),
                ((kind, *map(_error, row)) for kind, row in zip(swept.kinds, swept.error.tolist(), strict=True)),
            ),
        ]
        return Finding(
            {"own": own.to_dict(), "bases": swept.to_dict()}, lines, {"extracting": lambda: extracting.figure(swept)}
        )


def _error(error: float) -> str:
    return "exact" if error < _EXACT else words.number(error)

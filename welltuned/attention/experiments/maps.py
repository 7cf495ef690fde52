"""The heads of a real encoder reading a question and a passage."""

from __future__ import annotations

from dataclasses import dataclass

from welltuned.attention import maps, numbers
from welltuned.attention.experiments import _words as words
from welltuned.attention.experiments._base import Encoders, Experiment, Finding
from welltuned.attention.maps import HeadMaps
from welltuned.errors import UsageError

CAVEATS = (
    "Before you read these: a large weight is no explanation of an answer; a weight counts only with its value;",
    "heads with nothing to fetch look at the first token or a separator; after layer 0 a position is no longer a",
    "word; and the strongest of many heads on one text looks strong partly because it was picked.",
)


@dataclass(frozen=True)
class Maps(Experiment):
    """The heads of a real encoder on a question and a passage: their maps, and which of them copy."""

    question: str = numbers.text("does water boil earlier on a mountain", "first text")
    passage: str = numbers.text(
        "Air pressure falls with height, so on a mountain water boils below 100 degrees.", "second text, '' for none"
    )
    model: str = numbers.text("minilm", "alias, Hub id or folder of an encoder")
    max_length: int = numbers.whole(128, "tokens at most, question and passage together", low=8)
    top: int = numbers.whole(5, "heads listed", low=1)
    heads: tuple[tuple[int, int], ...] | None = numbers.pairs(
        None, "layer,head of the maps drawn; else the strongest of four kinds"
    )

    def run(self, encoders: Encoders) -> Finding:
        """The weights of every head, and what they have in common with the demonstrations."""
        if not self.question.strip():
            raise UsageError("the question is empty", where="question", mend="give some words")
        model, tokenizer = encoders(self.model, self.max_length)
        found = maps.head_maps(model, tokenizer, self.question, self.passage or None)
        maps.check_heads(found, self.heads or ())
        layers, heads = found.entropy.shape
        copying = [_row(found, *place) for place in maps.ranked(found, "copying")[: self.top]]
        habits = [
            (habit, *(place := maps.strongest(found, habit)), f"{float(getattr(found, habit)[place]):.2f}")
            for habit in (*maps.HABITS, "entropy")
        ]
        share = 1 / len(found.tokens)
        lines = [
            f"{layers} layers of {heads} heads, {len(found.tokens)} tokens: {' '.join(found.tokens)}",
            "",
            f"Heads that copy: share of rows with a weight of {maps.COPY_WEIGHT:g} or more on one token",
            "",
            words.table(
                ("layer", "head", "rows that copy", "median score gap", "most weight on", "mean weight"), copying
            ),
            "",
            "The strongest head of each habit, by mean weight, and the flattest, by entropy in nats",
            "",
            words.table(("habit", "layer", "head", "mean"), habits),
            "",
            f"All heads: {float(found.first.mean()):.2f} on the first token and {float(found.separator.mean()):.2f} on "
            f"separators; if uniform {share:.2f} and {found.uniform_sink - share:.2f}",
            "",
            *CAVEATS,
        ]
        figures = {"maps": lambda: maps.figure(found, self.heads), "heads": lambda: maps.overview(found)}
        return Finding(found.to_dict(), lines, figures)


def _row(found: HeadMaps, layer: int, head: int) -> tuple[object, ...]:
    means = {habit: float(getattr(found, habit)[layer, head]) for habit in maps.HABITS}
    habit = max(means, key=means.__getitem__)
    gap = float(maps.score_gaps(found, layer, head).median())
    return layer, head, f"{float(found.copying[layer, head]):.0%}", f"{gap:.1f}", habit, f"{means[habit]:.2f}"

"""Every trained configuration's answer to one row, and the words that carried one of them, as HTML."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from transformers import PreTrainedModel

from welltuned import artifact
from welltuned.app.folder import MODEL, Contents, contents
from welltuned.app.markup import as_ours, framed, note, told, trouble
from welltuned.errors import UsageError
from welltuned.explaining import Explanation, Reading, Word, explain, read
from welltuned.predicting import Answer, Predictor
from welltuned.record import ComparisonRecord, RunRecord
from welltuned.report import format, markup
from welltuned.report.markup import Column, Group, Markup, element, join

KEPT = 16
"""Models open at one time at most."""
LEVELS = 4
CAVEAT = (
    "A weight tells what this answer rests on in this model. It does not tell whether the answer is right, nor what "
    "would happen if the word were another."
)


class Opened:
    """A run's model and its tokenizer, ready to answer and to be explained."""

    def __init__(self, run: Path) -> None:
        self.answering = Predictor(run)
        self.tokenizer = artifact.load_tokenizer(run / "model")

    def reading(self, text: str, pair: str) -> Reading:
        """What this model reads of a row."""
        length = self.answering.record.spec.model.max_length
        return read(text, pair if self.answering.takes_pairs else None, self.tokenizer, length)


class Models:
    """Opened models, the last used ones kept; one that was written anew is opened anew."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, tuple[int, Opened]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run: Path) -> Opened:
        """The model of a run's folder.

        Raises:
            WelltunedError: it is not there, or damaged.
        """
        with self._lock:
            written = _written(run)
            if run not in self._open or self._open[run][0] != written:
                self._open[run] = (written, Opened(run))
            self._open.move_to_end(run)
            while len(self._open) > KEPT:
                self._open.popitem(last=False)
            return self._open[run][1]


def _written(run: Path) -> int:
    """When the run's model was written."""
    return (run / MODEL).stat().st_mtime_ns


MODELS = Models()


@lru_cache(maxsize=1)
def _explainable(run: Path, written: int) -> PreTrainedModel:  # noqa: ARG001
    """A run's model as a module that gradients go through; the last one asked for is kept."""
    return artifact.load(run / "model")


@dataclass(frozen=True)
class Asked:
    """A row that was typed, and where: the folder of results, and the seed of the runs that answer."""

    folder: Path
    seed: int
    text: str
    pair: str


def seeds(found: Contents) -> list[int]:
    """The seeds of which there is a model."""
    return sorted({seed for line in found.lines() for seed, run in line.runs.items() if (run / MODEL).is_file()})


def trained(found: Contents, seed: int) -> dict[str, Path]:
    """The folder of each configuration's run of this seed, where it has a model."""
    runs = {line.name: line.runs.get(seed) for line in found.lines()}
    return {name: run for name, run in runs.items() if run is not None and (run / MODEL).is_file()}


def columns(found: Contents) -> tuple[str, str | None]:
    """What the two texts of a row are called in the data; None for a model of single texts."""
    record: RunRecord | None = next(iter(found.runs.values()), None)
    named = {} if record is None else record.columns
    return named.get("text") or "text", named.get("text_pair")


def best(found: Contents, names: list[str]) -> str | None:
    """The configuration to look at first: the winner, else the first."""
    winner = found.results.winner if isinstance(found.results, ComparisonRecord) else None
    return winner if winner in names else next(iter(names), None)


@told
def answers(asked: Asked) -> str:
    """A table of every configuration's answer, and what they did not see."""
    found = contents(asked.folder)
    runs = trained(found, asked.seed)
    if not runs:
        more = "A run leaves its model when it ends; what is under way stands under Curves."
        return framed(note("No model is here to answer", more))
    if empty := _lacking(asked, found):
        return framed(note(empty))
    lines: list[list[str]] = []
    problems: list[Markup] = []
    unseen: dict[tuple[Word, ...], list[str]] = {}
    for name, run in runs.items():
        try:
            model = MODELS.of(run)
            (answer,) = model.answering.answers([asked.text], [asked.pair] if model.answering.takes_pairs else None)
            reading = model.reading(asked.text, asked.pair)
        except Exception as error:
            problems.append(trouble(as_ours(error), f"{name} cannot answer"))
            continue
        lines.append(_line(name, answer, reading))
        if reading.unseen:
            unseen.setdefault(reading.words, []).append(f"{name} ({len(reading.ids)} tokens at most)")
    head = [Column("method"), Column("answer"), Column("confidence", numeric=True), Column("probabilities"),
            Column("words not seen", numeric=True)]  # fmt: skip
    table = markup.table("Answers", head, Group(lines)) if lines else ""
    return framed(join([table, *problems, *_cut(unseen, len(lines))]))


def _lacking(asked: Asked, found: Contents) -> str:
    """What is still to be typed."""
    first, second = columns(found)
    missing = [name for name, text in ((first, asked.text), (second, asked.pair)) if name and not text.strip()]
    return f"Type a {' and a '.join(missing)} first." if missing else ""


def _line(name: str, answer: Answer, reading: Reading) -> list[str]:
    share = answer.probabilities[answer.label]
    ranked = sorted(answer.probabilities.items(), key=lambda one: -one[1])[:5]
    every = ", ".join(f"{label} {format.percent(probability)}" for label, probability in ranked)
    inside = element("span", style=f"width: {100 * share:.1f}%")
    bar = element("span", inside, class_="bar", aria_hidden="true")
    unseen = str(reading.unseen) if reading.unseen else "none"
    return [name, element("strong", answer.label), join([format.percent(share), bar]), every, unseen]


def _cut(unseen: dict[tuple[Word, ...], list[str]], of: int) -> list[Markup]:
    """The row once for each way in which it was cut, what was not seen struck through."""
    if not unseen:
        return []
    shown = [element("h3", "What was not seen")]
    for words, names in unseen.items():
        who = "every method" if len(names) == of else ", ".join(names)
        count = sum(not word.seen for word in words)
        what = "1 word was" if count == 1 else f"{count} words were"
        shown.append(element("p", f"{what} cut off before they reached {who}; they are struck through here:"))
        shown.append(_text([(word, "") for word in words]))
    return shown


@told
def carried(asked: Asked, name: str) -> str:
    """The words of the row with what each carried of one configuration's answer."""
    found = contents(asked.folder)
    runs = trained(found, asked.seed)
    if not runs or _lacking(asked, found):
        return ""
    if name not in runs:
        raise UsageError(f"there is no model of {name} with seed {asked.seed}", mend="choose another method")
    run, model = runs[name], MODELS.of(runs[name])
    reading = model.reading(asked.text, asked.pair)
    explained = explain(_explainable(run, _written(run)), model.tokenizer, reading)
    return framed(_explained(name, explained))


def _explained(name: str, one: Explanation) -> Markup:
    largest = max(map(abs, one.weights), default=0.0)
    styled = [(word, _style(weight, largest)) for word, weight in zip(one.words, one.weights, strict=True)]
    legend = element(
        "p",
        element("span", "Solid", class_="for level-3"), f" words spoke for “{one.answer}”, ",
        element("span", "dashed", class_="against level-3"), " ones against it; the stronger the line, the more.",
    )  # fmt: skip
    ranked = sorted(
        ((word, weight) for word, weight in zip(one.words, one.weights, strict=True) if word.seen),
        key=lambda pair: -abs(pair[1]),
    )[:8]
    lines = [
        [word.text, f"{weight:+.3f}".replace("-", "−"), "for" if weight > 0 else "against"] for word, weight in ranked
    ]
    table = markup.table(
        "The strongest words", [Column("word"), Column("weight", numeric=True), Column("spoke")], Group(lines)
    )
    return join([
        element("h3", f"The words that carried “{one.answer}” of {name}"), legend, _text(styled), table,
        element("p", _complete(one), class_="quiet"), element("p", CAVEAT, class_="quiet"),
    ])  # fmt: skip


def _complete(one: Explanation) -> str:
    total = sum(one.weights) + one.rest
    return (
        f"The log-odds of “{one.answer}” are {_signed(one.odds)} nats for this text, and "
        f"{_signed(one.odds - one.difference)} with every word hidden. The weights add up to {_signed(total)}, the "
        f"difference is {_signed(one.difference)} (convergence delta {one.delta:.1g}, {one.steps} steps)."
    )


def _signed(number: float) -> str:
    return f"{number:+.3f}".replace("-", "−")


def _style(weight: float, largest: float) -> str:
    """The class of a word: its side, and how strong it is beside the strongest."""
    level = round(LEVELS * abs(weight) / largest) if largest else 0
    return f"{'for' if weight > 0 else 'against'} level-{level}" if level else ""


def _text(words: list[tuple[Word, str]]) -> Markup:
    """The texts of a row, one a paragraph, words marked; what was not seen is struck through."""
    paragraphs = []
    for side in sorted({word.side for word, _ in words}):
        parts: list[str] = []
        for word, style in words:
            if word.side != side:
                continue
            marked = element("span", word.text, class_=style) if style else word.text
            parts += [marked if word.seen else element("del", word.text), " "]
        paragraphs.append(element("p", *parts))
    return element("blockquote", *paragraphs)


__all__ = ["Asked", "Models", "answers", "best", "carried", "columns", "seeds", "trained"]

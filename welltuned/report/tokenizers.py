"""What is said of tokenizers on the terminal: layouts, tables of how they fit, and a split step by step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich import box
from rich.table import Table
from rich.text import Text

from welltuned.record.tokenizers import (
    ExplanationRecord,
    InspectionRecord,
    Layout,
    LearnedRecord,
    SplitWord,
)

SHOWN = 20
"""Pieces of a part that are written out; the rest is counted."""


def layouts(record: InspectionRecord) -> Iterator[str]:
    """The inspected row as each model sees it."""
    yield f"{record.row} as each model sees it"
    yield ""
    for row in record.models:
        if row.layout is not None:
            yield f"{row.name} ({row.kind}, {row.vocabulary:,} entries)"
            yield from _layout(row.layout)
            yield ""


def _layout(layout: Layout) -> Iterator[str]:
    yield f"  layout    {layout.template}"
    yield from (f"  {name:<9} {' '.join(pieces)}" for name, pieces in _parts(layout))
    segments = "none: this model tells the texts apart by the separators alone"
    if layout.segments is not None:
        runs = [(value, len(list(run))) for value, run in groupby(layout.segments)]
        segments = ", then ".join(f"{value} for {length} positions" for value, length in runs)
    yield f"  segments  {segments}"
    for literal, special in layout.literals.items():
        yield f'  "{literal}" in a text is {"the special token" if special else "plain text, read as characters"}'


def _parts(layout: Layout) -> Iterator[tuple[str, list[str]]]:
    """The row in its parts A and B, with the special tokens that stand around each."""
    names = {"text": "A", "text_pair": "B", "special": ""}
    for part, run in groupby(zip(layout.pieces, layout.parts, strict=True), key=lambda one: one[1]):
        pieces = [piece for piece, _ in run]
        more = [f"... {len(pieces) - SHOWN} more"] if len(pieces) > SHOWN else []
        yield names[part], pieces[:SHOWN] + more


def fit_table(record: InspectionRecord) -> Table:
    """How each tokenizer fits the dev texts, the newly trained one last."""
    table = _table("How they fit the dev texts", "tokenizer", "kind")
    for head in ("vocabulary", "tokens", "tokens\na word", "words left\nwhole", "unknown\ntokens"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in [*record.models, record.fresh]:
        fit = row.fit
        table.add_row(
            Text(row.name), row.kind, f"{row.vocabulary:,}", f"{fit.tokens:,}", f"{fit.fertility:.3f}",
            f"{fit.whole_share:.1%}", f"{fit.unknown_share:.2%}",
        )  # fmt: skip
    return table


def broken_table(record: InspectionRecord) -> Table:
    """The words whose breaking costs most, by tokenizer."""
    table = _table("Words that break worst: pieces, and how often they stand there", "tokenizer")
    table.add_column("words", overflow="fold")
    for row in [*record.models, record.fresh]:
        words = (f"{' '.join(word.pieces)} ({word.count:,})" for word in row.fit.worst[:5])
        table.add_row(Text(row.name), Text(", ".join(words) or "none"))
    return table


def cut_table(record: InspectionRecord) -> Table:
    """Train rows that lose tokens, by class."""
    title = f"Train rows that lose the end of their last text at {record.max_length} tokens, by class"
    table = _table(title, "tokenizer")
    for cut in record.models[0].cut:
        table.add_column(Text(cut.label), justify="right")
    for row in [*record.models, record.fresh]:
        table.add_row(Text(row.name), *(f"{cut.cut:,} of {cut.rows:,} ({cut.share:.1%})" for cut in row.cut))
    return table


def _table(title: str, *heads: str) -> Table:
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", box=box.HORIZONTALS, pad_edge=False,
        padding=(0, 2, 0, 0), show_edge=False,
    )  # fmt: skip
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def explanation(record: ExplanationRecord) -> Iterator[str | Table]:
    """A split step by step, word by word."""
    how = {
        "BPE": "of all neighbours whose merge is in its list, the merge learned first is applied",
        "WordPiece": "of what is left of a word, the longest piece in the vocabulary is taken",
    }[record.kind]
    yield f"{record.model}: {record.kind}, {record.vocabulary:,} entries. At each step, {how}."
    for word in record.words:
        yield ""
        if not word.steps:
            yield f"{word.word}: starts as {' '.join(word.start)}; no merge applies"
        else:
            yield _merges(word) if record.kind == "BPE" else _matches(word)
    yield ""
    yield f"pieces  {' '.join(record.pieces)}"
    yield f"ids     {' '.join(map(str, record.ids))}"
    yield "The tokenizers library splits it the same way."


def _merges(word: SplitWord) -> Table:
    table = _table(f"{word.word}: starts as {' '.join(word.start)}")
    table.add_column("step", justify="right")
    table.add_column("merge")
    table.add_column("learned as\nnumber", justify="right")
    table.add_column("then", overflow="fold")
    for number, step in enumerate(word.steps, start=1):
        cells = Text(" + ".join(step.taken)), f"{(step.rank or 0) + 1:,}", Text(" ".join(step.state))
        table.add_row(str(number), *cells)
    return table


def _matches(word: SplitWord) -> Table:
    table = _table(word.word)
    table.add_column("step", justify="right")
    table.add_column("left")
    table.add_column("looked up", justify="right")
    table.add_column("found")
    table.add_column("then", overflow="fold")
    for number, step in enumerate(word.steps, start=1):
        cells = Text(step.taken[0]), f"{step.tried:,}", Text(step.piece), Text(" ".join(step.state))
        table.add_row(str(number), *cells)
    return table


def learned(record: LearnedRecord) -> Iterator[str]:
    """What was trained, and how it fits the text it was trained on."""
    yield f"trained on {record.text}: {record.lines:,} lines, {record.fit.words:,} words"
    short = "" if record.vocabulary == record.asked else f" of {record.asked:,} asked for; the text gives no more"
    yield f"vocabulary: {record.vocabulary:,}{short}"
    yield f"learned first: {', '.join(record.first)}"
    yield f"on its own text: {record.fit.fertility:.3f} tokens a word, {record.fit.whole_share:.1%} of words left whole"
    yield f"saved: {record.folder}"

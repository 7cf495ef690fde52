"""What is said and drawn of a pretraining: its curve, and what is masked on one row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from rich import box
from rich.table import Table
from rich.text import Text

from welltuned.record.pretraining import MaskedToken, PretrainingRecord
from welltuned.report import canvas


def masked_table(row: Sequence[MaskedToken]) -> Table:
    """One row position by position: the token, what the model is given, what it must predict."""
    table = Table(
        title=Text("What is hidden on one row, and what is to be predicted"), title_justify="left",
        title_style="bold", box=box.HORIZONTALS, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False,
    )  # fmt: skip
    table.add_column("at", justify="right")
    for head in ("token", "given", "label", "why"):
        table.add_column(head)
    for at, one in enumerate(row):
        label = "-100 (none)" if one.label is None else one.label
        table.add_row(str(at), Text(one.piece), Text(one.given), Text(label), one.treatment)
    return table


def curve_table(record: PretrainingRecord) -> Table:
    """The curve in rows, what token frequencies alone reach last."""
    table = Table(
        title=Text(f"Pretrained on {record.text}: {record.tokens['train']:,} tokens in {record.rows['train']:,} rows; "
                   f"{record.predicted:,} hidden tokens of {record.evaluated:,} held-out rows"),
        title_justify="left", title_style="bold", box=box.HORIZONTALS, pad_edge=False, padding=(0, 2, 0, 0),
        show_edge=False,
    )  # fmt: skip
    table.add_column("step", justify="right")
    table.add_column("trained")
    for head in ("train\nloss", "held-out\nloss", "held-out\nperplexity", "named\nright"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in record.curve:
        train = "" if row.train_loss is None else f"{row.train_loss:.3f}"
        table.add_row(
            f"{row.step:,}", row.trained, train, f"{row.held_out_loss:.3f}", f"{row.perplexity:,.1f}",
            f"{row.held_out_accuracy:.1%}",
        )  # fmt: skip
    table.add_section()
    alone = record.unigram
    table.add_row("", "frequencies", "", f"{alone.loss:.3f}", f"{alone.perplexity:,.1f}", f"{alone.accuracy:.1%}")
    return table


def draw(folder: Path, record: PretrainingRecord) -> Path:
    """Write ``figures/pretraining.png``, and return its path."""
    return canvas.save(curves(record), folder / "figures" / "pretraining.png")


@canvas.drawn
def curves(record: PretrainingRecord) -> Figure:
    """Loss on train and held-out rows, and held-out perplexity, by step."""
    figure, (losses, perplexities) = canvas.new(f"Pretraining on {record.text}", 3.6, columns=2)
    steps = [row.step for row in record.curve]
    trained = [(row.step, row.train_loss) for row in record.curve if row.train_loss is not None]
    losses.plot(
        [step for step, _ in trained], [loss for _, loss in trained], color=canvas.TRAIN, linestyle=canvas.DASHES[1],
        marker="s", label="train, running mean",
    )  # fmt: skip
    losses.plot(steps, [row.held_out_loss for row in record.curve], color=canvas.DEV, marker="o", label="held out")
    losses.axhline(record.unigram.loss, color=canvas.QUIET, linestyle=canvas.DASHES[0], label="token frequencies alone")
    losses.set_title("loss of hidden tokens, nats")
    perplexities.plot(steps, [row.perplexity for row in record.curve], color=canvas.DEV, marker="o")
    perplexities.axhline(record.unigram.perplexity, color=canvas.QUIET, linestyle=canvas.DASHES[0])
    perplexities.set_yscale("log")
    perplexities.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    perplexities.yaxis.set_minor_formatter(NullFormatter())
    perplexities.set_title("held-out perplexity, log scale")
    head = max((row.step for row in record.curve if row.trained == "head"), default=0)
    for axes in (losses, perplexities):
        axes.set_xlabel("step")
        if 0 < head < steps[-1]:
            axes.axvline(head, color=canvas.QUIET, linewidth=1, label="until here the head alone is trained")
    canvas.legend_below(figure, 2)
    return figure

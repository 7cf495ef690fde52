from __future__ import annotations

from pathlib import Path

from made_records import provenance
from matplotlib.image import imread
from rich.console import Console

from welltuned.record.pretraining import MaskedToken, PretrainingRecord, StepRow, Unigram
from welltuned.report import pretraining
from welltuned.spec import DataSpec, PretrainSpec, ShapeSpec


def record(trained: tuple[str, ...] = ("nothing", "head", "all", "all")) -> PretrainingRecord:
    curve = [
        StepRow(
            step=10 * at, trained=what, train_loss=None if at == 0 else 8.0 - at, held_out_loss=7.5 - at,
            held_out_accuracy=at / 10, lr=1e-3, seconds=1.0,
        )
        for at, what in enumerate(trained)
    ]  # fmt: skip
    return PretrainingRecord(
        id="0", command="welltuned pretrain", spec=PretrainSpec(text=DataSpec(source="x"), shape=ShapeSpec(), lr=1e-3),
        text="a text", vocabulary=100, parameters=1000, tokens={"train": 12_345, "held_out": 678},
        rows={"train": 98, "held_out": 6}, evaluated=6, predicted=90, fresh_head=True,
        unigram=Unigram(loss=6.0, accuracy=0.08), curve=curve, shown=[], verdict="", provenance=provenance(),
    )  # fmt: skip


def printed(table: object) -> str:
    console = Console(width=100, record=True)
    console.print(table)
    return console.export_text()


def test_the_curve_in_rows() -> None:
    text = " ".join(printed(pretraining.curve_table(record())).split())
    for part in ("12,345 tokens", "90 hidden tokens", "frequencies", "1,808.0", "403.4", "8.0%", "head", "nothing"):
        assert part in text


def test_the_figure_says_where_the_head_alone_was_trained(tmp_path: Path) -> None:
    path = pretraining.draw(tmp_path, record())
    assert imread(path).shape[1] == 1200
    with_head, without = pretraining.curves(record()), pretraining.curves(record(("nothing", "all")))
    told = [[text.get_text() for text in figure.legends[0].get_texts()] for figure in (with_head, without)]
    assert any("head alone" in text for text in told[0])
    assert not any("head alone" in text for text in told[1])
    for figure in (with_head, without):
        figure.canvas.draw()
        ticks = [tick.get_text() for tick in figure.axes[1].get_yticklabels()]
        assert ticks
        assert all(text.replace(",", "").isdigit() for text in ticks)


def test_what_is_masked() -> None:
    row = [
        MaskedToken(piece="[CLS]", given="[CLS]", label=None, treatment="special"),
        MaskedToken(piece="sun", given="[MASK]", label="sun", treatment="masked"),
    ]
    text = printed(pretraining.masked_table(row))
    assert "[MASK]" in text
    assert "-100 (none)" in text

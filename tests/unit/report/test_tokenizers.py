from __future__ import annotations

from rich.console import Console

from welltuned.record.tokenizers import (
    BrokenWord,
    Cut,
    ExplanationRecord,
    Fit,
    InspectionRecord,
    Layout,
    LearnedRecord,
    SplitWord,
    Step,
    TokenizerRow,
)
from welltuned.report import tokenizers

FIT = Fit(words=1000, tokens=1500, unknown=15, whole=700, worst=[BrokenWord(word="ab", count=9, pieces=["a", "##[b"])])
LAYOUT = Layout(
    template="[CLS] A [SEP]",
    pieces=["[CLS]", *["so"] * 30, "[SEP]"],
    ids=list(range(32)),
    parts=["special", *["text"] * 30, "special"],
    segments=[0] * 32,
    literals={"[SEP]": True, "</s>": False},
)


def inspection(layout: Layout = LAYOUT) -> InspectionRecord:
    cut = [Cut(label="no", rows=10, cut=1), Cut(label="[yes]", rows=20, cut=5)]
    row = TokenizerRow(name="m[1]", kind="WordPiece", vocabulary=30_522, layout=layout, fit=FIT, cut=cut)
    fresh = row.model_copy(update={"name": "newly trained", "layout": None})
    return InspectionRecord(
        command="", data="d", row="d:1", max_length=64, train_words=10, models=[row], fresh=fresh, train_new=False,
        advice="Keep it.",
    )  # fmt: skip


def printed(*parts: object) -> str:
    console = Console(width=100, record=True)
    for part in parts:
        console.print(part, markup=False)
    return console.export_text()


def test_layouts_count_what_they_do_not_write_out() -> None:
    text = printed(*tokenizers.layouts(inspection()))
    for part in (
        "[CLS] A [SEP]",
        "... 10 more",
        "0 for 32 positions",
        '"[SEP]" in a text is the special',
        "plain text",
    ):
        assert part in text
    bare = LAYOUT.model_copy(update={"segments": None})
    assert "separators alone" in printed(*tokenizers.layouts(inspection(bare)))


def test_tables_hold_the_figures_and_brackets_stay() -> None:
    record = inspection()
    text = printed(tokenizers.fit_table(record), tokenizers.broken_table(record), tokenizers.cut_table(record))
    for part in ("m[1]", "30,522", "1.500", "70.0%", "1.00%", "a ##[b (9)", "[yes]", "5 of 20 (25.0%)"):
        assert part in text


def test_steps_of_both_kinds() -> None:
    merge = Step(taken=["a", "b"], piece="ab", rank=4, tried=None, state=["ab", "c"])
    match = Step(taken=["abc"], piece="ab", rank=None, tried=2, state=["ab"])
    for kind, step, shown in (("BPE", merge, ("a + b", "5")), ("WordPiece", match, ("abc", "2"))):
        word = SplitWord(word="abc", start=["a", "b", "c"], steps=[step], pieces=["ab", "c"])
        record = ExplanationRecord(
            model="m", kind=kind, vocabulary=9, text="abc", words=[word], pieces=["ab", "c"], ids=[1, 2]
        )
        text = printed(*tokenizers.explanation(record))
        assert all(part in text for part in (*shown, "ab c", "ids     1 2"))


def test_a_vocabulary_smaller_than_asked_for_is_told() -> None:
    values = {"command": "", "kind": "bpe", "text": "t", "folder": "f", "lines": 3, "asked": 99, "first": ["a+b"]}
    assert "of 99 asked for" in printed(*tokenizers.learned(LearnedRecord(**values, vocabulary=90, fit=FIT)))
    assert "asked for" not in printed(*tokenizers.learned(LearnedRecord(**values, vocabulary=99, fit=FIT)))

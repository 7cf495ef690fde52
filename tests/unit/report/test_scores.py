"""What a report says beside accuracy."""

from __future__ import annotations

import pytest
from made_records import BASELINES, make_comparison, write_comparison

from welltuned.record import Alarm, BestAfter, Budget, Measures, Opening, Suspect
from welltuned.report import render
from welltuned.report.rows import alarms
from welltuned.report.terminal import alarm_lines


def measured(classes: int = 2) -> Measures:
    few = classes == 2
    return Measures(
        f1=0.71, f1_of="yes", mcc=0.42, log_loss=0.61, ece=0.043, ece_adaptive=0.051,
        confusion=[[410, 90], [121, 379]] if few else None, confused=[("no", "yes", 90), ("yes", "no", 121)],
        confidence=[0.6, 0.9], accuracy=[0.55, 0.84], count=[300, 700],
    )  # fmt: skip


@pytest.fixture
def full():
    record = make_comparison()
    for row in record.table:
        if row.kind == "method":
            row.measures = measured()
    record.table[0].budget = Budget(
        trials=4, seconds=75.0, scores=[0.6, 0.7, 0.7, 0.72],
        best_after=[
            BestAfter(trials=1, value=0.68, low=0.6, high=0.7), BestAfter(trials=4, value=0.71, low=0.65, high=0.72),
        ],
    )  # fmt: skip
    record.alone = [BASELINES[1].model_copy(update={"name": "TF-IDF, question only"})]
    record.suspects = [
        Suspect(row=7, label=0, said=1, confidence=0.97, origin="dev.csv:9", text="is <it> so", pair="p" * 500)
    ]
    record.alarms = [Alarm(kind="leak-rows", what="6 rows stand twice", cause="cut by row", mend="use --split grouped")]
    record.openings = [
        Opening(when="2026-01-01T10:00:00+00:00", selection="a", purpose="final comparison"),
        Opening(when="2026-01-02T10:00:00+00:00", selection="b", purpose="final comparison", folder="other"),
    ]
    record.test_openings = 2
    return record


def test_scores_confusions_and_suspects_are_shown(full, tmp_path):
    page = render(write_comparison(tmp_path, full)).read_text(encoding="utf-8")
    for part in (
        "F1 of yes", "0.710", "0.420", "4.3", "said no", "410", "TF-IDF, question only", "Labels to read again",
        "dev.csv:9", "97.0%", "is &lt;it&gt; so", "6 rows stand twice", "What tuning was worth", "68.0%",
        "opened 2 times", "(in other)", "Reliability curves",
    ):  # fmt: skip
        assert part in page, part
    assert "p" * 301 not in page
    assert (tmp_path / "figures" / "reliability.png").is_file()


def test_many_classes_show_their_worst_confusions(full, tmp_path):
    for row in full.table:
        if row.measures:
            row.measures = measured(30)
    page = render(write_comparison(tmp_path, full)).read_text(encoding="utf-8")
    assert "The most frequent errors on the test rows" in page
    assert "said no" not in page


def test_a_record_without_scores_shows_none(comparison, tmp_path):
    page = render(write_comparison(tmp_path, comparison)).read_text(encoding="utf-8")
    assert "Scores beside accuracy" not in page
    assert not (tmp_path / "figures" / "reliability.png").exists()


def test_alarms_of_the_data_come_first(full):
    found = alarms(full, {})
    assert found[0][0] == full.data
    assert {alarm.kind for _, alarm in found} == {"leak-rows", "truncation"}
    assert alarm_lines(full)[0].startswith(f"alarm: {full.data}: 6 rows stand twice; likely cause: cut by row; to mend")

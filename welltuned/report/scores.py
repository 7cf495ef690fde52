"""What a comparison says beside accuracy: F1, MCC, calibration, confusions, one text alone, labels to read again."""

from __future__ import annotations

from welltuned.record import ComparisonRecord, Suspect, TableRow
from welltuned.report import format, markup
from welltuned.report.markup import Column, Group, Markup, element
from welltuned.report.sections import Section

READING = (
    "F1, MCC, log-loss and calibration errors are means over seeds, without intervals. The calibration error (ECE) is "
    "the mean gap between how sure a model is and how often it is right: bins of equal width, or of equally many rows."
)


def sections(record: ComparisonRecord) -> list[Section]:
    """The parts for which the record holds something."""
    measured = [row for row in record.table if row.measures is not None]
    found = []
    if measured:
        body = [element("p", READING), _measures(measured), *_confusions(record, measured), *_alone(record)]
        found.append(Section("scores", "Scores beside accuracy", markup.join(body)))
    if record.suspects:
        found.append(Section("suspects", "Labels to read again", _suspects(record)))
    return found


def _measures(table: list[TableRow]) -> Markup:
    heads = ("log-loss (nats)", "ECE (points)", "ECE, equal counts (points)")
    first = table[0].measures
    label = f"F1 of {first.f1_of}" if first else "F1"
    columns = [Column("configuration"), *(Column(head, numeric=True) for head in (label, "MCC", *heads))]
    lines = [
        [row.name, f"{one.f1:.3f}", f"{one.mcc:.3f}", f"{one.log_loss:.3f}", f"{100 * one.ece:.1f}",
         f"{100 * one.ece_adaptive:.1f}"]
        for row in table if (one := row.measures) is not None
    ]  # fmt: skip
    return markup.table("Scores on the test rows", columns, Group(lines))


def _confusions(record: ComparisonRecord, table: list[TableRow]) -> list[Markup]:
    """A matrix for few classes, over all seeds; the most frequent errors for many."""
    head = element("h3", "Confusions")
    if all(row.measures and row.measures.confusion is not None for row in table):
        columns = [Column("true"), *(Column(f"said {label}", numeric=True) for label in record.labels)]
        groups = [
            Group([[label, *map(format.count, counts)] for label, counts in zip(record.labels, matrix, strict=True)],
                  row.name)
            for row in table if row.measures and (matrix := row.measures.confusion) is not None
        ]  # fmt: skip
        return [head, markup.table("Test rows by true and said class, over all seeds", columns, *groups)]
    columns = [Column("true"), Column("said"), Column("rows", numeric=True)]
    groups = [
        Group([[true, said, format.count(count)] for true, said, count in row.measures.confused[:5]], row.name)
        for row in table if row.kind == "method" and row.measures
    ]  # fmt: skip
    return [head, markup.table("The most frequent errors on the test rows, over all seeds", columns, *groups)]


def _alone(record: ComparisonRecord) -> list[Markup]:
    if not record.alone:
        return []
    columns = [Column("baseline"), Column("dev accuracy", numeric=True), Column("test accuracy", numeric=True)]
    lines = [
        [row.name, *(f"{format.percent(one.accuracy)} ({format.interval(one)})" if one else format.MISSING
                     for one in (row.dev, row.test))]
        for row in record.alone
    ]  # fmt: skip
    said = "A baseline that reads one text of two and is right shows a shortcut: the other need not be read."
    return [element("h3", "One text alone"), element("p", said), markup.table("One text alone", columns, Group(lines))]


def _suspects(record: ComparisonRecord) -> Markup:
    told = (
        "Dev rows that every run with any skill gives the same other class than their label, each with a high "
        "probability. Some are hard, some are labelled wrongly: read them."
    )
    columns = [Column("place"), Column("label"), Column("said"), Column("confidence", numeric=True), Column("texts")]
    lines = [
        [one.origin or str(one.row), record.labels[one.label], record.labels[one.said],
         format.percent(one.confidence), _texts(one)]
        for one in record.suspects
    ]  # fmt: skip
    return markup.join([element("p", told), markup.table("Rows to read", columns, Group(lines))])


def _texts(one: Suspect, longest: int = 300) -> str:
    whole = one.text if one.pair is None else f"{one.text} | {one.pair}"
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"

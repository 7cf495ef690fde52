"""The report as one HTML file that needs nothing else: no script, no font, no address outside it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from string import Template

from welltuned.record import ComparisonRecord, RunRecord, Score, TableRow, TrainingRecord
from welltuned.report import format, markup, rows, scores, sections
from welltuned.report.gallery import Picture
from welltuned.report.markup import Column, Group, Markup, element
from welltuned.report.sections import Section

Shown = Sequence[tuple[Picture, bytes]]

READING = (
    "A whisker is the interval of one score alone, and whether two whiskers overlap does not settle which method "
    "is better: the paired differences do, as they compare answers to the same items. Choices were made on dev, "
    "so the dev accuracy of what was chosen tends to be too high; test accuracy, where given, is free of that."
)
READING_RUN = (
    "Solid lines are the dev rows, dashed lines the training rows. The epoch was chosen on dev, so its dev "
    "accuracy is likely to be a little higher than the accuracy on new rows."
)
_RESULTS = (
    Column("method"), Column("model"), Column("seeds", numeric=True), Column("trained parameters", numeric=True),
    Column("share", numeric=True), Column("peak memory (MiB)", numeric=True), Column("seconds", numeric=True),
    Column("dev accuracy", numeric=True), Column("test accuracy", numeric=True),
)  # fmt: skip


def comparison_page(record: ComparisonRecord, runs: rows.Runs, shown: Shown) -> str:
    """The page of a comparison, its figures already drawn."""
    heading = f"Methods compared on {record.data}"
    parts = comparison_parts(record, runs, shown)
    return whole("Comparison", heading, record.verdict, parts, record.provenance.welltuned)


def comparison_parts(record: ComparisonRecord, runs: rows.Runs, shown: Shown) -> list[Section]:
    """What stands on the page of a comparison under its verdict."""
    firsts = [(row.name, runs[row.runs[0]]) for row in record.table if row.runs and row.runs[0] in runs]
    return [
        *sections.alarms(rows.alarms(record, runs)),
        Section("results", "Results", _results(record)),
        *_differences(record),
        *scores.sections(record),
        *sections.pictures(shown, READING),
        *sections.ledger(firsts),
        Section("data", "Data", _data(record)),
        Section("how", "How it was run", _how(record)),
        Section("reproduce", "Reproduce and recompute", _reproduce(record.command)),
    ]


def run_page(record: RunRecord, shown: Shown, results: TrainingRecord | None = None) -> str:
    """The page of a single run, its figures already drawn; with its results where it stands alone."""
    heading = f"{record.spec.method.name} on {record.spec.model.name}, {record.spec.data.source}"
    parts = run_parts(record, shown, results)
    return whole("Training run", heading, run_verdict(record), parts, record.provenance.welltuned)


def run_parts(record: RunRecord, shown: Shown, results: TrainingRecord | None = None) -> list[Section]:
    """What stands on the page of a single run under its verdict."""
    return [
        *sections.alarms([(record.name, alarm) for alarm in (results or record).alarms]),
        Section("results", "Results", markup.join([_run_results(record), _run_test(results)])),
        *sections.pictures(shown, READING_RUN),
        Section("data", "Data", _run_data(record)),
        Section("how", "How it was run", _run_how(record)),
        Section("reproduce", "Recompute", sections.recompute()),
    ]


def excerpt(record: ComparisonRecord | RunRecord) -> Markup:
    """Verdict, table and alarms alone, as they stand in a notebook: without style, links or script."""
    if isinstance(record, RunRecord):
        found, verdict, results = (
            [(record.name, one) for one in record.alarms],
            run_verdict(record),
            _run_results(record),
        )
    else:
        found, verdict, results = rows.alarms(record, {}), record.verdict, _results(record)
    alarms = [markup.join([element("h4", one.heading), one.body]) for one in sections.alarms(found)]
    return element("div", element("p", element("strong", verdict)), results, *alarms)


def run_verdict(record: RunRecord) -> str:
    """One sentence on how a run ended."""
    trained = format.count(record.trained_parameters)
    if not record.curve:
        return f"No epoch was finished; {trained} parameters stood to be trained."
    rows_told = "its own training rows" if record.spec.train.overfit else "dev"
    sentence = (
        f"{format.percent(record.dev_accuracy)} accuracy on {rows_told} at epoch {record.best_epoch} "
        f"of {record.spec.train.epochs}, with {trained} parameters trained"
    )
    lost = record.lost_after_peak
    return f"{sentence}; {100 * lost:.1f} points were lost after the peak." if lost > 0 else f"{sentence}."


def whole(kind: str, heading: str, verdict: str, parts: Sequence[Section], version: str) -> str:
    """One HTML file of these parts under a heading and a verdict."""
    contents = markup.bullets([element("a", part.heading, href=f"#{part.anchor}") for part in parts])
    return Template(_resource("page.html")).substitute(
        title=markup.escaped(f"{heading} – Welltuned"),
        style=f"{content_style().strip()}\n{_resource('page.css').strip()}",
        kind=markup.escaped(kind),
        heading=markup.escaped(heading),
        verdict=markup.escaped(verdict),
        contents=contents,
        sections=Markup("\n".join(part.markup() for part in parts)),
        footer=markup.escaped(f"Made by Welltuned {version} from the records in this folder."),
    )


def content_style() -> str:
    """How tables, figures and alarms look, on whichever page they stand."""
    return _resource("content.css")


def _resource(name: str) -> str:
    return resources.files("welltuned.report").joinpath(name).read_text(encoding="utf-8")


def _results(record: ComparisonRecord) -> Markup:
    names = rows.method_names(record)
    groups: dict[str, list[list[str]]] = {"method": [], "baseline": [], "failed": []}
    for name, row in zip(names, record.table, strict=True):
        groups[row.kind].append(_failed_row(name, row) if row.kind == "failed" else _result_row(name, row))
    table = markup.table(
        "Accuracy and cost of each configuration",
        _RESULTS,
        Group(groups["method"]),
        Group(groups["baseline"], "Baselines"),
        Group(groups["failed"], "Did not finish"),
    )
    empty = "" if record.table else element("p", "The comparison holds no rows.")
    return markup.join([table if record.table else "", empty, element("p", openings(record), class_="quiet")])


def _result_row(name: str, row: TableRow) -> list[str]:
    return [
        name,
        _absent(row.model),
        str(len(row.seeds)) if row.seeds else _absent(None),
        _absent(format.count(row.trained_parameters)),
        _absent(format.percent(row.share, 2)),
        _absent(format.mebibytes(row.memory_bytes)),
        _absent(format.seconds(row.seconds)),
        _score(row.dev),
        _score(row.test),
    ]


def _failed_row(name: str, row: TableRow) -> list[str]:
    return [name, _absent(row.model), row.failure or "no reason was recorded"]


def _absent(text: str | None) -> str:
    """The text, or a quiet mark for what was not measured."""
    if text is None or text == format.MISSING:
        return element("span", format.MISSING, class_="quiet")
    return text


def _score(score: Score | None) -> str:
    if score is None:
        return _absent(None)
    return markup.join([format.percent(score.accuracy), " ", element("span", format.interval(score), class_="range")])


def openings(record: ComparisonRecord) -> str:
    """What a reader must know about the test labels and the intervals."""
    level = format.level(next((s for row in record.table for s in (row.test, row.dev) if s), None))
    told = f"Under each accuracy stands its {level} interval. Seconds are the mean training time of one seed. "
    return told + sections.openings(record.test_openings, record.openings)


def _differences(record: ComparisonRecord) -> list[Section]:
    if not record.statements:
        return []
    columns = [
        Column("pair"), Column("difference (points)", numeric=True), Column("interval", numeric=True),
        Column("p", numeric=True), Column("p, Holm", numeric=True), Column("p, equivalence", numeric=True),
        Column("scope"),
    ]  # fmt: skip
    lines = [
        [
            f"{one.a} minus {one.b}", format.points(one.difference),
            f"{format.points(one.low)} to {format.points(one.high)}", format.p_value(one.p),
            format.p_value(one.p_holm), format.p_value(one.p_equivalence), one.scope,
        ]
        for one in record.statements
    ]  # fmt: skip
    table = markup.table("Paired differences in accuracy, over the same items", columns, Group(lines))
    said = markup.bullets([one.sentence for one in record.statements])
    explained = element("p", f"{HOLM} {_visible(record)}")
    return [Section("differences", "Differences between pairs", markup.join([said, table, explained]))]


HOLM = (
    "Holm’s p is corrected for the number of pairs in this table; judge by it, not by the plain p. The p of "
    "equivalence is that of two one-sided tests, corrected likewise: where it is small, the difference was "
    "shown to be within"
)


def _visible(record: ComparisonRecord) -> str:
    """The margin, and what could have been seen."""
    said = [f"{100 * record.margin:g} points either way."]
    if record.smallest_planned is not None:
        said.append(
            f"Before training, differences from {100 * record.smallest_planned:.1f} points on were likely to show."
        )
    if record.smallest_visible is not None:
        said.append(
            f"As measured, every pair would have shown {100 * record.smallest_visible:.1f} points with power 80%."
        )
    return " ".join(said)


def _data(record: ComparisonRecord) -> Markup:
    sizes = sections.split_sizes(record.rows, record.class_shares, record.labels)
    source = element("p", "Source: ", markup.code(record.data), ", hash ", markup.code(record.data_hash), ".")
    return markup.join([source, sizes, sections.notes(record.notes)])


def _how(record: ComparisonRecord) -> Markup:
    columns = [
        Column("configuration"), Column("learning rate", numeric=True), Column("epochs", numeric=True),
        Column("batch size", numeric=True), Column("seeds"), Column("trials", numeric=True), Column("method settings"),
    ]  # fmt: skip
    lines = [
        [
            row.name, _absent(format.number(row.lr)), _absent(format.count(row.epochs)),
            _absent(format.count(row.batch_size)), ", ".join(map(str, row.seeds)) or _absent(None),
            format.count(row.budget.trials if row.budget else 1), sections.settings(row.config),
        ]
        for row in record.table if row.kind != "baseline"
    ]  # fmt: skip
    table = markup.table("Settings of each configuration", columns, Group(lines)) if lines else ""
    budget = element("p", f"Budget: {record.budget}")
    return markup.join([budget, table, _tuned(record), sections.provenance(record.provenance)])


def _tuned(record: ComparisonRecord) -> str:
    """The expected best dev score after so many trials, for configurations that were tuned."""
    columns = [Column("trials"), Column("expected best dev score", numeric=True), Column("95% interval", numeric=True)]
    groups = [
        Group(
            [[format.count(one.trials), format.percent(one.value), f"{100 * one.low:.1f} to {100 * one.high:.1f}"]
             for one in row.budget.best_after], f"{row.name} ({format.duration(row.budget.seconds)})",
        )
        for row in record.table if row.budget and row.budget.trials > 1
    ]  # fmt: skip
    return markup.table("What tuning was worth", columns, *groups) if groups else ""


def _reproduce(command: str) -> Markup:
    return markup.join(
        [
            element("p", "This command makes the comparison; run again, it continues where it stopped:"),
            markup.block(command),
            element("p", "This one draws the report anew from the stored records, without training:"),
            markup.block("welltuned report FOLDER"),
            sections.recompute(),
        ]
    )


def _run_results(record: RunRecord) -> Markup:
    share = record.trained_parameters / record.all_parameters if record.all_parameters else None
    facts = [
        ("dev accuracy", format.percent(record.dev_accuracy)),
        ("best epoch", f"{record.best_epoch} of {len(record.curve)} trained"),
        ("trained parameters", f"{format.count(record.trained_parameters)} ({format.percent(share, 2)} of all)"),
        ("all parameters", format.count(record.all_parameters)),
        ("peak memory of one step", format.size(record.memory.peak)),
        ("training time", format.duration(rows.training_seconds(record))),
    ]
    if record.utilisation is not None:
        facts.append(("steps used (model FLOP utilisation)", format.utilisation(record.utilisation)))
    ledger = [(part, format.count(number)) for part, number in record.ledger.items()]
    columns = [Column("part"), Column("parameters", numeric=True)]
    table = markup.table("Trained parameters by part", columns, Group(ledger)) if ledger else ""
    return markup.join([markup.pairs("The run in short", facts), table])


def _run_test(results: TrainingRecord | None) -> str:
    """What the test said of a run that stands alone, and how often it was asked."""
    if results is None or results.test is None:
        return ""
    facts = [("test accuracy", f"{format.percent(results.test.accuracy)} ({format.interval(results.test)})")]
    if results.measures is not None:
        one = results.measures
        facts += [(f"F1 of {one.f1_of}", f"{one.f1:.3f}"), ("MCC", f"{one.mcc:.3f}"),
                  ("calibration error (ECE)", f"{100 * one.ece:.1f} points")]  # fmt: skip
    opened = sections.openings(results.test_openings, results.openings)
    return markup.join([markup.pairs("On the test rows", facts), element("p", opened, class_="quiet")])


def _run_data(record: RunRecord) -> Markup:
    sizes = sections.split_sizes(record.rows, {}, record.labels)
    columns = [
        Column("split"),
        Column("rows", numeric=True),
        Column("cut", numeric=True),
        Column("share", numeric=True),
    ]
    lines = [
        [split, format.count(one.rows), format.count(one.cut), format.percent(one.share)]
        for split, one in record.truncation.items()
    ]
    caption = f"Rows that lost tokens to the limit of {record.spec.model.max_length}"
    cut = markup.table(caption, columns, Group(lines)) if lines else ""
    labels = element("p", f"Labels: {', '.join(record.labels)}.")
    return markup.join([labels, sizes, cut, sections.notes(record.notes)])


def _run_how(record: RunRecord) -> Markup:
    spec = sections.flat(record.spec.model_dump(mode="json"))
    timings = [(name, format.duration(time)) for name, time in record.timings.items()]
    memory = (
        f"Memory is that of a step on {format.count(record.memory.rows)} rows of "
        f"{format.count(record.memory.tokens)} tokens; how it was found: {record.memory.how}."
    )
    return markup.join(
        [
            markup.pairs(f"Settings, as resolved (id {record.id})", spec),
            markup.pairs("Where the time went", timings, "part", "time") if timings else "",
            element("p", memory),
            _used(record),
            sections.provenance(record.provenance),
        ]
    )


def _used(record: RunRecord) -> str:
    """What the model FLOP utilisation was made from, so that it can be made again."""
    one = record.utilisation
    if one is None:
        return ""
    return element(
        "p",
        f"The steps need {one.flop:.4g} FLOP on tokens without padding and took {one.seconds:.4g} s; one feed-forward "
        f"product on the same device, in the same precision, reached {one.ceiling:.4g} FLOP a second.",
    )

"""The page of a search: the choice, every trial, and how it was made."""

from __future__ import annotations

from welltuned.record import Score, SearchRecord, SearchTrial
from welltuned.report import format, markup, page, sections, trials
from welltuned.report.gallery import Picture
from welltuned.report.markup import Column, Group, Markup, element
from welltuned.report.sections import Section

READING = (
    "Dev accuracy decides, so the chosen trial's dev accuracy is the luckiest of several and leans high. Its test "
    "accuracy does not: the test labels were opened after the choice."
)


def picture(record: SearchRecord) -> Picture:
    """The figure of a search."""
    caption = "Dev accuracy of every trial; the star is the one that was chosen."
    return Picture("search", caption, trials.described(record), lambda: trials.dev_by_hyperparameters(record))


def search_page(record: SearchRecord, shown: page.Shown) -> str:
    """The page of a search, its figure already drawn."""
    heading = f"Search over {record.method} on {record.model}, {record.data}"
    return page.whole("Search", heading, record.verdict, search_parts(record, shown), record.provenance.welltuned)


def search_parts(record: SearchRecord, shown: page.Shown) -> list[Section]:
    """What stands on the page of a search under its verdict."""
    return [
        *sections.alarms([("the chosen trial", alarm) for alarm in record.alarms]),
        Section("results", "Results", _results(record)),
        *sections.pictures(shown, READING),
        *_best_after(record),
        Section("data", "Data", _data(record)),
        Section("how", "How it was run", _how(record)),
        Section("reproduce", "Reproduce", _reproduce(record)),
    ]


def _results(record: SearchRecord) -> Markup:
    columns = [Column("trial"), *(Column(name, numeric=True) for name in record.space),
               Column("dev accuracy", numeric=True), Column("best epoch", numeric=True),
               Column("seconds", numeric=True)]  # fmt: skip
    lines = [_line(record, one) for one in record.trials]
    scores = [
        ("dev accuracy of the chosen trial", _score(record.dev)),
        ("test accuracy of the chosen trial", _score(record.test)),
        ("majority class on test", format.percent(record.majority["test"])),
    ]
    advice = markup.bullets(record.advice) if record.advice else ""
    return markup.join([markup.pairs("The choice", scores), advice, markup.table("Every trial", columns, Group(lines))])


def _score(score: Score) -> str:
    return f"{format.percent(score.accuracy)} ({format.level(score)} interval {format.interval(score)})"


def _line(record: SearchRecord, one: SearchTrial) -> list[str]:
    mark = " (chosen)" if one.number == record.chosen else ""
    if one.given_up is not None:
        mark = f" ({format.given_up(one)})"
    name = f"{one.number + 1}{mark}"
    values = [trials.shown(one.values[field]) for field in record.space]
    if one.dev is None:
        return [name, *values, f"failed: {one.failure}"]
    return [name, *values, format.percent(one.dev), ", ".join(map(str, one.best_epochs)), format.seconds(one.seconds)]


def _best_after(record: SearchRecord) -> list[Section]:
    if not record.best_after:
        return []
    columns = [
        Column("trials"),
        Column("expected best dev accuracy", numeric=True),
        Column("95% interval", numeric=True),
    ]
    lines = [
        [str(one.trials), format.percent(one.value), f"{100 * one.low:.1f} to {100 * one.high:.1f}"]
        for one in record.best_after
    ]
    told = "What so many trials, drawn at random from this space, would have found (Dodge et al. 2019)."
    table = markup.table("Expected best dev accuracy by number of trials", columns, Group(lines))
    return [Section("budget", "What more trials are worth", markup.join([element("p", told), table]))]


def _data(record: SearchRecord) -> Markup:
    source = element("p", "Source: ", markup.code(record.data), ", hash ", markup.code(record.data_hash), ".")
    return markup.join([source, sections.split_sizes(record.rows, {}, []), sections.notes(record.notes)])


def _how(record: SearchRecord) -> Markup:
    facts = [
        ("sampler", record.sampler),
        ("budget", record.budget),
        ("seeds", ", ".join(map(str, record.seeds))),
        *record.space.items(),
    ]
    return markup.join([markup.pairs("The search", facts), sections.provenance(record.provenance)])


def _reproduce(record: SearchRecord) -> Markup:
    return markup.join(
        [
            element("p", "This command makes the search; run again, it continues where it stopped:"),
            markup.block(record.command),
            element("p", sections.openings(record.test_openings, record.openings)),
        ]
    )

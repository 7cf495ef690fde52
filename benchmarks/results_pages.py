"""Writes docs/results/ and the README's table from finished comparisons, so that no figure is typed by hand.

    python benchmarks/results_pages.py NAME=FOLDER [NAME=FOLDER ...]

Each FOLDER is the --out of a finished ``welltuned compare``. Its results.json is kept as docs/results/NAME.json, its
figures as docs/results/NAME-*.png. The one called ``demo`` also fills the README between its two markers.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from welltuned.record import ComparisonRecord, TableRow, read_comparison
from welltuned.report import format

DOCS = Path(__file__).resolve().parent.parent / "docs" / "results"
README = DOCS.parent.parent / "README.md"
HEAD = (
    "| method | trained parameters | of model | peak memory | seconds | dev | test | 95% interval |\n"
    "|---|---:|---:|---:|---:|---:|---:|---|\n"
)


def _line(row: TableRow) -> str:
    if row.kind == "failed":
        return f"| {row.name} | | | | | | | failed: {row.failure} |"
    memory = "" if row.memory_bytes is None else f"{format.mebibytes(row.memory_bytes)} MiB"
    share = "" if row.share is None else format.percent(row.share, 2)
    cells = [
        row.name, format.count(row.trained_parameters), share, memory, format.seconds(row.seconds),
        format.percent(row.dev.accuracy if row.dev else None), format.percent(row.test.accuracy if row.test else None),
        format.interval(row.test),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def table(record: ComparisonRecord) -> str:
    """The comparison as a Markdown table."""
    return HEAD + "\n".join(_line(row) for row in record.table)


def section(name: str, record: ComparisonRecord) -> str:
    """One comparison: verdict, command, table, statements, settings and provenance."""
    made = record.provenance
    versions = ", ".join(f"{package} {version}" for package, version in made.versions.items())
    rows = ", ".join(f"{split} {format.count(count)}" for split, count in record.rows.items())
    seeds = sorted({seed for row in record.table for seed in row.seeds})
    statements = "\n".join(f"- {one.a} against {one.b}: {one.sentence}" for one in record.statements)
    rates = ", ".join(f"{row.name} {row.lr:g}" for row in record.table if row.lr)
    notes = "\n".join(f"- {note}" for note in record.notes)
    return f"""## {record.data} ({name})

{record.verdict}

    {record.command}

{table(record)}

![Accuracy of each method on dev and test]({name}-accuracy.png)

Pairs, corrected over all of them (Holm), intervals simultaneous:

{statements}

Settings: {record.budget}; seeds {", ".join(map(str, seeds))}; learning rates {rates}. Rows: {rows}.

What was said of the data:

{notes}

Made with {versions}; {made.processor}, {made.cores} cores, {made.threads} threads, {made.precision}. Data hash
`{record.data_hash[:16]}`, weights `{made.weights_hash[:16]}`. The whole record: [{name}.json]({name}.json).
"""


def main(arguments: list[str]) -> None:
    """Write the pages for these comparisons."""
    DOCS.mkdir(parents=True, exist_ok=True)
    for argument in arguments:
        name, _, folder = argument.partition("=")
        read_comparison(Path(folder))
        shutil.copy(Path(folder) / "results.json", DOCS / f"{name}.json")
        for figure in (Path(folder) / "figures").glob("*.png"):
            shutil.copy(figure, DOCS / f"{name}-{figure.name}")
    kept = {path.stem: ComparisonRecord.model_validate_json(path.read_bytes()) for path in sorted(DOCS.glob("*.json"))}
    page = "# Results, as measured\n\nThe tables are written from the records beside this page.\n\n"
    (DOCS / "README.md").write_text(page + "\n".join(section(name, record) for name, record in kept.items()))
    if "demo" in kept:
        text = README.read_text()
        block = f"<!-- demo -->\n{table(kept['demo'])}\n\n> {kept['demo'].verdict}\n<!-- /demo -->"
        README.write_text(re.sub(r"<!-- demo -->.*<!-- /demo -->", lambda _: block, text, flags=re.DOTALL))


if __name__ == "__main__":
    main(sys.argv[1:])

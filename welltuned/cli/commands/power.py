"""Say before an experiment how small a difference it can see."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import groups, options


def command(
    columns: groups.ColumnOptions,
    samples: groups.SampleOptions,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Data whose test rows are counted; else give their number as --n."),
    ] = None,
    n: Annotated[int | None, typer.Option(help="How many test rows there are, where no data is named.", min=2)] = None,
    seeds: Annotated[int, typer.Option(help="With how many seeds each method is trained.", min=1)] = 3,
    difference: Annotated[
        float, typer.Option(help="The difference you would like to see, in points of accuracy.", min=0, max=100)
    ] = 3.0,
    base_accuracy: Annotated[
        float, typer.Option(help="The accuracy you expect of the weaker method, as a share.", min=0, max=1)
    ] = 0.80,
    disagreement: Annotated[
        float,
        typer.Option(
            help="On which share of rows you expect one of two methods to be right and the other wrong.", min=0
        ),
    ] = 0.14,
    seed_sd: Annotated[
        float,
        typer.Option(
            help="How much accuracy varies from seed to seed: its standard deviation, in points.", min=0, max=49
        ),
    ] = 1.0,
    seed_disagreement: Annotated[
        float, typer.Option(help="The same as --disagreement, for two seeds of one method.", min=0)
    ] = 0.11,
    methods: Annotated[
        int, typer.Option(help="How many methods are compared, each with each; more need a stricter test.", min=2)
    ] = 2,
    chance: Annotated[
        float,
        typer.Option(
            "--power", help="How surely the smallest difference should be seen, as a share of experiments.", min=0.06
        ),
    ] = 0.8,
    json: options.Json = False,
) -> None:
    """Say before an experiment how small a difference it can see, with this many test rows and seeds."""
    import math
    from json import dumps

    from rich.table import Table

    from welltuned.cli.console import stdout
    from welltuned.data import load_dataset
    from welltuned.errors import UsageError
    from welltuned.stats import Design

    if (data is None) == (n is None):
        raise UsageError("how many test rows?", where="welltuned power", mend="name DATA, or give --n 3270")
    if base_accuracy + difference / 100 > 1:
        raise UsageError(
            f"{base_accuracy:.1%} and {difference:g} points add up to more than 100%", where="--difference",
            mend="give a smaller --difference or a lower --base-accuracy",
        )  # fmt: skip
    size = n or len(load_dataset(groups.data_spec(data or "", columns, samples)).test)
    found = []
    for count in sorted({1, 3, 5, seeds}):
        design = Design(
            size, count, base_accuracy, disagreement, seed_sd / 100, seed_disagreement, math.comb(methods, 2)
        )
        found.append(
            {
                "seeds": count,
                "asked": count == seeds,
                "power": design.power(difference / 100),
                "smallest_visible": design.smallest(chance),
                "about": "these trained models" if count == 1 else "the methods",
            }
        )
    taken = {
        "n": size, "difference": difference / 100, "base_accuracy": base_accuracy, "disagreement": disagreement,
        "seed_sd": seed_sd / 100, "seed_disagreement": seed_disagreement, "comparisons": math.comb(methods, 2),
        "power": chance,
    }  # fmt: skip
    if json:
        print(dumps({"taken": taken, "rows": found}, indent=2))
        return
    table = Table("seeds", "about", box=None)
    table.add_column(f"power at {difference:g} points", justify="right")
    table.add_column(f"smallest visible ({chance:.0%})", justify="right")
    for row in found:
        smallest = row["smallest_visible"]
        shown = "none" if not isinstance(smallest, float) else f"{100 * smallest:.1f} points"
        mark = " *" if row["asked"] else ""
        table.add_row(f"{row['seeds']}{mark}", str(row["about"]), f"{row['power']:.0%}", shown)
    stdout.print(table)
    stdout.print(
        f"* as asked. {size:,} test rows, {_pairs(methods)}; taken: accuracy "
        f"{base_accuracy:.0%}, two methods disagree on {disagreement:.0%} of rows, two seeds on "
        f"{seed_disagreement:.0%}, seeds vary by {seed_sd:g} points",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _pairs(methods: int) -> str:
    pairs = methods * (methods - 1) // 2
    return "one comparison" if pairs == 1 else f"{pairs} comparisons (Holm's first step)"

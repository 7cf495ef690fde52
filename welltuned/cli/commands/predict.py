"""Answer new questions with a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from welltuned.cli import options


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Folder of a run, comparison (its winner) or search (its choice).")
    ],
    text: Annotated[
        str | None, typer.Option("--text", "--question", help="The text to answer; of a pair, the question.")
    ] = None,
    text_pair: Annotated[
        str | None, typer.Option("--text-pair", "--passage", help="The second text of a pair: the passage.")
    ] = None,
    input: Annotated[  # the option's natural name
        Path | None, typer.Option("--input", "-i", help="A file of rows with the columns of training, or - for stdin.")
    ] = None,
    batch_size: options.EvalBatchSize = 64,
    json: options.Json = False,
) -> None:
    """Answer new questions with a finished run: one, every row of a file, or what comes on stdin.

    On stdin a row is one line: the texts with a tab between them, or a JSON object with the columns of training.

    Rows are answered in their order, one line of JSON each; --json makes one document of them.
    """
    from dataclasses import asdict
    from json import dumps

    from welltuned.cli import rows
    from welltuned.cli.console import stdout
    from welltuned.predicting import Predictor

    predictor = Predictor(run)
    texts, pairs = rows.requested(predictor.record, text, text_pair, input)
    answers = predictor.answers(texts, pairs, batch_size)
    if json:
        print(dumps([asdict(answer) for answer in answers], ensure_ascii=False, indent=2))
    elif text is not None:
        (answer,) = answers
        shares = ", ".join(f"{label} {share:.1%}" for label, share in answer.probabilities.items())
        cut = "; the end of the passage was cut off" if answer.truncated else ""
        stdout.print(f"{answer.label}  ({shares}{cut})", markup=False)
    else:
        for answer in answers:
            print(dumps(asdict(answer), ensure_ascii=False))

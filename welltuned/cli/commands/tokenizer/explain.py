"""Say how a word is split, step by step."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import options


def command(
    word: Annotated[str, typer.Argument(metavar="WORD", help="A word, or a few; a space in front counts.")],
    model: options.Model = "minilm",
    json: options.Json = False,
) -> None:
    """Say how a model's tokenizer splits a word, step by step, checked against the tokenizers library."""
    from welltuned.cli import console
    from welltuned.pretrained import tokenizer_of
    from welltuned.report import tokenizers
    from welltuned.tokenizing import explain

    record = explain(word, tokenizer_of(model, 256), model)
    console.show(record, json, *tokenizers.explanation(record))

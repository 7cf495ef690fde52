"""Train a new tokenizer on text of yours."""

from __future__ import annotations

from typing import Annotated

import typer

from welltuned.cli import groups, options


def command(
    source: options.TextSource,
    columns: groups.ColumnOptions,
    vocab_size: Annotated[int, typer.Option(help="Entries of the vocabulary at most.", min=10)],
    kind: Annotated[str, typer.Option(help="wordpiece, as BERT has it, or bpe over bytes, as RoBERTa.")] = "wordpiece",
    cased: Annotated[bool, typer.Option("--cased", help="Keep capitals and accents (bpe always does).")] = False,
    out: options.Out = None,
    wait: options.Wait = False,
    json: options.Json = False,
) -> None:
    """Train a tokenizer on text, and save it as a fast tokenizer that AutoTokenizer opens."""
    from welltuned.cli import console, requests
    from welltuned.data.corpus import read_corpus
    from welltuned.record import alone
    from welltuned.report import tokenizers
    from welltuned.tokenizing import learn

    corpus = read_corpus(groups.data_spec(source, columns))
    folder = requests.folder(out, "tokenizer", source, f"{corpus.hash} {kind} {vocab_size} {cased}")
    with console.ConsoleObserver() as observer, alone(folder, wait, observer.say, beside=True):
        for note in corpus.notes:
            observer.say(note)
        record = learn(corpus, kind, vocab_size, cased, folder, requests.command_line())
    console.show(record, json, *tokenizers.learned(record))

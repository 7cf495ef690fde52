"""Look at data before training on it: splits, balance, overlaps, contradictions, truncation."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from welltuned.cli import groups, options


def command(
    data: options.Data,
    columns: groups.ColumnOptions,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Also say what this model cuts off.")] = None,
    max_length: options.MaxLength = 256,
    json: options.Json = False,
) -> None:
    """Look at data before training on it: splits, balance, overlaps, contradictions, truncation."""
    from json import dumps

    from welltuned.cli import requests
    from welltuned.cli.console import stdout
    from welltuned.data import checks, load_dataset
    from welltuned.spec import ModelSpec

    dataset = load_dataset(groups.data_spec(data, columns))
    said: list[dict[str, Any]] = [{"level": "note", "what": note} for note in dataset.notes]
    for finding in checks.findings(dataset):
        one = {"level": finding.level, "what": finding.what}
        said.append({**one, "examples": list(finding.examples)} if finding.examples else one)
    if model is not None:
        from welltuned.batches import tokenize
        from welltuned.pretrained import pretrained

        tokenizer = pretrained(requests.spec(ModelSpec, name=model, max_length=max_length)).tokenizer
        for name, rows in (("train", dataset.train), ("dev", dataset.dev), ("test", dataset.test)):
            cut = tokenize(rows, tokenizer, max_length).truncation
            level = "warning" if cut.share > 0.2 else "note"
            said.append({"level": level, "what": f"{name}: {cut.share:.1%} of rows are cut at {max_length} tokens"})
    counts = {"train": len(dataset.train), "dev": len(dataset.dev), "test": len(dataset.test)}
    if json:
        print(dumps({"data": dataset.name, "hash": dataset.hash, "rows": counts, "labels": dataset.labels,
                     "findings": said}, indent=2, ensure_ascii=False))  # fmt: skip
        return
    stdout.print(
        f"{dataset.name}: {', '.join(f'{name} {count:,}' for name, count in counts.items())} rows", markup=False
    )
    stdout.print(f"labels: {', '.join(dataset.labels)}", markup=False)
    for line in said:
        stdout.print(f"{line['level']}: {line['what']}", markup=False)
        for example in line.get("examples", []):
            stdout.print(f"    {example}", markup=False)

"""From a :class:`~welltuned.spec.DataSpec` to a :class:`~welltuned.data.dataset.Dataset`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from welltuned.data.checks import supplied_notes
from welltuned.data.columns import resolve, take_texts
from welltuned.data.dataset import Columns, Dataset, Labels, Split
from welltuned.data.labels import Encoding, encode, is_hidden
from welltuned.data.sources import Source, read_source
from welltuned.data.splits import cap, complete, fingerprint, pool, refuse_untrained, sealed
from welltuned.data.table import Table
from welltuned.errors import DataError
from welltuned.spec import DataSpec


def load_dataset(spec: DataSpec, held: Source | None = None) -> Dataset:
    """Read, check and cut the data; the test labels are checked too and then sealed.

    Args:
        held: the source itself where its rows lie in memory.

    Returns:
        Three splits; ``test.label`` is None, and ``unseal()`` reads the source again for the test labels.

    Raises:
        DataError: the source cannot be read or learned from; says what, where and how to mend it.
    """
    whole = _assemble(spec, held)
    return replace(whole, test=whole.test.sealed(), unseal=partial(_unseal, spec, held, whole.hash))


def _unseal(spec: DataSpec, held: Source | None, expected: str) -> Labels:
    """The test labels [N], aligned to the test rows of the data set with this hash."""
    whole = _assemble(spec, held)
    if whole.hash != expected or whole.test.label is None:
        raise DataError(
            "the data has changed since it was first read",
            where=spec.source,
            why=f"its hash is {whole.hash[:12]} and was {expected[:12]}",
            mend="restore the files, or run again from the start",
        )
    return whole.test.label


def _assemble(spec: DataSpec, held: Source | None) -> Dataset:
    """The data set with its test labels still in place."""
    source = held or read_source(spec.source, spec.split_seed)
    columns, guessed = resolve(source.tables, spec)
    tables, hidden = _without_hidden(source.tables, columns.label)
    encoding = encode(tables, columns.label)
    supplied, read = _typed(tables, columns, encoding)
    splits, cuts = _cut(supplied, spec, source)
    splits, capped = _capped(splits, spec)
    refuse_untrained(splits, encoding.names)
    notes = [*source.notes, *guessed, *hidden, *encoding.notes, *read, *supplied_notes(supplied), *cuts, *capped]
    return Dataset(
        name=source.name,
        train=splits["train"],
        dev=splits["dev"],
        test=splits["test"],
        labels=encoding.names,
        columns=columns,
        hash=fingerprint(splits, encoding.names),
        notes=tuple(notes),
        supplied=sealed(supplied),
    )


def _without_hidden(tables: dict[str, Table], label: str) -> tuple[dict[str, Table], list[str]]:
    """A test table whose labels are all withheld counts as missing."""
    test = tables.get("test")
    if test is None or not is_hidden(test.columns[label]):
        return tables, []
    rest = {split: table for split, table in tables.items() if split != "test"}
    return rest, [f"{test.name}: all {len(test):,} labels are -1 (hidden), so these rows are not used"]


def _typed(tables: dict[str, Table], columns: Columns, encoding: Encoding) -> tuple[dict[str, Split], list[str]]:
    splits, notes = {}, []
    for name, table in tables.items():
        text, said = take_texts(table, columns.text)
        pair, more = take_texts(table, columns.text_pair) if columns.text_pair else (None, [])
        splits[name] = Split(text, pair, encoding.indices[name], table.origin)
        notes += said + more
    return splits, notes


def _cut(supplied: dict[str, Split], spec: DataSpec, source: Source) -> tuple[dict[str, Split], list[str]]:
    if spec.split == "grouped":
        return pool(supplied, spec.split_seed)
    return complete(supplied, spec.split_seed, source.test_share)


def _capped(splits: dict[str, Split], spec: DataSpec) -> tuple[dict[str, Split], list[str]]:
    most = {
        "train": spec.max_train_samples,
        "dev": spec.max_eval_samples,
        "test": spec.max_predict_samples,
    }
    kept = {name: cap(splits[name], most[name], spec.split_seed) for name in most}
    notes = [
        f"{len(kept[name]):,} of {len(splits[name]):,} {name} rows are kept, chosen by the split seed"
        for name in most
        if len(kept[name]) < len(splits[name])
    ]
    return kept, notes

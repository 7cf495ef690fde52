"""Checks of what was read: overlap between splits, repeated and contradicting rows, class balance."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Literal

import numpy as np

from welltuned.data.dataset import Dataset, Split
from welltuned.data.near import clusters
from welltuned.data.splits import normalise

Unit = Literal["row", "passage"]

Matcher = Callable[[Sequence[str]], Sequence[Hashable]]
"""[N] texts to [N] keys; texts with equal keys count as the same.

It sees all texts of both splits at once, so that a key may also be the cluster a text falls into.
"""


def exact(texts: Sequence[str]) -> Sequence[Hashable]:
    """Texts are the same where every character is."""
    return texts


def normalised(texts: Sequence[str]) -> Sequence[Hashable]:
    """Texts are the same but for case, Unicode compatibility form (NFKC) and white space."""
    return [normalise(text) for text in texts]


def near(texts: Sequence[str]) -> Sequence[Hashable]:
    """Texts are the same where they share four fifths of their word triples, or a chain of such texts joins them."""
    return clusters(texts)


MATCHERS: Mapping[str, Matcher] = {"exact": exact, "normalised": normalised, "near-duplicate": near}


@dataclass(frozen=True)
class Example:
    """One text in common: how it begins, the first place in either split, and whether it is the same to the letter."""

    text: str
    left: str
    right: str
    same: bool = True


@dataclass(frozen=True)
class Overlap:
    """What two splits have in common.

    Attributes:
        left, right: names of the splits.
        unit: "row" compares both texts of a row together, "passage" the second text alone (the only
            text where rows have one).
        match: name of the matcher.
        supplied: whether the splits are those supplied, rather than those after cutting.
        distinct: number of different keys in common.
        left_rows, right_rows: rows of either split whose key is in common.
        examples: up to three, first those that are not the same to the letter.
    """

    left: str
    right: str
    unit: Unit
    match: str
    supplied: bool
    distinct: int
    left_rows: int
    right_rows: int
    examples: tuple[Example, ...] = ()


def overlaps(dataset: Dataset, matchers: Mapping[str, Matcher] = MATCHERS, *, supplied: bool = True) -> list[Overlap]:
    """Overlap between every two splits, after cutting and (unless that is left out) as supplied, for rows and passages.

    Pairs without anything in common are listed too, with zeros. Where rows have one text only, rows and
    passages are the same and listed once, as rows.
    """
    after = {"train": dataset.train, "dev": dataset.dev, "test": dataset.test}
    versions = [(after, False), (dataset.supplied, True)] if supplied else [(after, False)]
    return list(_overlaps(versions, matchers))


def _overlaps(
    versions: Sequence[tuple[Mapping[str, Split], bool]], matchers: Mapping[str, Matcher]
) -> Iterator[Overlap]:
    """Overlaps within each version of the splits (and whether it is that supplied); a matcher sees all texts once."""
    parts = [rows for splits, _ in versions for rows in splits.values()]
    units: tuple[Unit, ...] = ("row",) if parts[0].pair is None else ("row", "passage")
    matched = {name: _by_unit(parts, units, matcher) for name, matcher in matchers.items()}
    place = 0
    for splits, supplied in versions:
        places = {name: place + at for at, name in enumerate(splits)}
        place += len(splits)
        for left, right in combinations(splits, 2):
            for unit, name in product(units, matchers):
                keys = matched[name][unit]
                pair = [(which, splits[which], keys[places[which]]) for which in (left, right)]
                yield _overlap(pair[0], pair[1], unit, name, supplied)


def _by_unit(parts: Sequence[Split], units: Sequence[Unit], matcher: Matcher) -> dict[Unit, list[list[Hashable]]]:
    """The keys of the rows of each part, for rows and for passages."""
    texts = list(matcher([text for rows in parts for text in rows.text]))
    if parts[0].pair is None:
        flat: dict[Unit, list[Hashable]] = {"row": texts}
    else:
        passages = list(matcher([pair for rows in parts for pair in rows.pair or ()]))
        flat = {"row": list(zip(texts, passages, strict=True)), "passage": passages}
    cuts = [iter(flat[unit]) for unit in units]
    return {unit: [list(islice(keys, len(rows))) for rows in parts] for unit, keys in zip(units, cuts, strict=True)}


_Keyed = tuple[str, Split, list[Hashable]]


def _overlap(left: _Keyed, right: _Keyed, unit: Unit, match: str, supplied: bool) -> Overlap:
    _, a, here = left
    _, b, there = right
    common = set(here) & set(there)
    at = [{key: i for i, key in reversed(list(enumerate(keys))) if key in common} for keys in (here, there)]
    examples = [_example(a, at[0][key], b, at[1][key], unit) for key in dict.fromkeys(here) if key in common]
    return Overlap(
        left=left[0],
        right=right[0],
        unit=unit,
        match=match,
        supplied=supplied,
        distinct=len(common),
        left_rows=sum(key in common for key in here),
        right_rows=sum(key in common for key in there),
        examples=tuple(sorted(examples, key=lambda one: one.same)[:3]),
    )


def _keys(splits: Sequence[Split], unit: Unit, matcher: Matcher) -> list[Hashable]:
    if unit == "passage" or splits[0].pair is None:
        return list(matcher([rows.group(i) for rows in splits for i in range(len(rows))]))
    texts = matcher([text for rows in splits for text in rows.text])
    pairs = matcher([pair for rows in splits for pair in rows.pair or ()])
    return list(zip(texts, pairs, strict=True))


def _example(a: Split, i: int, b: Split, j: int, unit: Unit) -> Example:
    text = a.group(i) if unit == "passage" else a.text[i]
    same = a.group(i) == b.group(j) and (unit == "passage" or a.text[i] == b.text[j])
    return Example(shorten(text), a.origin[i], b.origin[j], same)


def shorten(text: str, width: int = 80) -> str:
    """The beginning of a text on one line."""
    line = " ".join(text[: 4 * width].split())
    return line if len(line) <= width else line[: width - 1] + "…"


def supplied_notes(supplied: Mapping[str, Split]) -> list[str]:
    """A sentence for every two supplied splits that share passages, character by character."""
    notes = []
    for found in _overlaps([(supplied, True)], {"exact": exact}):
        if found.distinct and (found.unit == "passage" or supplied[found.left].pair is None):
            what = "passages stand" if found.unit == "passage" else "texts stand"
            notes.append(
                f"{found.distinct:,} {what} both in {found.left} and in {found.right} as supplied "
                f"({found.left_rows:,} and {found.right_rows:,} rows)"
            )
    return notes


@dataclass(frozen=True)
class Balance:
    """How many rows of one split each class has.

    Attributes:
        split: name of the split.
        counts: class name to rows, in class order.
    """

    split: str
    counts: dict[str, int]

    @property
    def majority(self) -> tuple[str, float]:
        """The most frequent class, and its share of the rows."""
        name = max(self.counts, key=self.counts.__getitem__)
        return name, self.counts[name] / max(1, sum(self.counts.values()))


def class_balance(dataset: Dataset) -> list[Balance]:
    """Rows of each class in train and dev; the test labels are sealed."""
    found = []
    for name, rows in (("train", dataset.train), ("dev", dataset.dev)):
        if rows.label is not None:
            counts = np.bincount(rows.label, minlength=len(dataset.labels)).tolist()
            found.append(Balance(name, dict(zip(dataset.labels, counts, strict=True))))
    return found


@dataclass(frozen=True)
class Repetition:
    """One text, or pair of texts, that stands in several rows of one split.

    Attributes:
        text: how the first text begins.
        origin: places of the rows.
        labels: class names of the rows, in the same order; empty where they are sealed.
    """

    text: str
    origin: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def contradicts(self) -> bool:
        """Whether the rows have different labels."""
        return len(set(self.labels)) > 1


def repetitions(rows: Split, labels: Sequence[str], matcher: Matcher = normalised) -> list[Repetition]:
    """Rows of one split that repeat each other, contradicting or not."""
    groups: dict[Hashable, list[int]] = {}
    for i, key in enumerate(_keys([rows], "row", matcher)):
        groups.setdefault(key, []).append(i)
    return [
        Repetition(
            text=shorten(rows.text[members[0]]),
            origin=tuple(rows.origin[i] for i in members),
            labels=() if rows.label is None else tuple(labels[rows.label[i]] for i in members),
        )
        for members in groups.values()
        if len(members) > 1
    ]


def contradictions(dataset: Dataset, matcher: Matcher = normalised) -> list[Repetition]:
    """Rows of train that are the same but for their labels: no model can fit them all."""
    return [found for found in repetitions(dataset.train, dataset.labels, matcher) if found.contradicts]


def empty_texts(rows: Split) -> list[str]:
    """Places of rows with a text of nothing but white space."""
    pairs = rows.pair or ("x",) * len(rows)
    return [
        place
        for text, pair, place in zip(rows.text, pairs, rows.origin, strict=True)
        if not text.strip() or not pair.strip()
    ]


@dataclass(frozen=True)
class Finding:
    """Something worth knowing before training.

    Attributes:
        level: "warning" where results may mislead, "info" otherwise.
        what: one sentence.
        where: a first place.
        examples: some of them, each with its places.
    """

    level: Literal["warning", "info"]
    what: str
    where: str | None = None
    examples: tuple[str, ...] = ()


def findings(dataset: Dataset) -> list[Finding]:
    """Everything the checks find, as sentences; empty where there is nothing to say."""
    return [
        *_overlap_findings(dataset),
        *_repetition_findings(dataset),
        *_balance_findings(dataset),
        *_text_findings(dataset),
    ]


def _overlap_findings(dataset: Dataset) -> Iterator[Finding]:
    seen = set()
    for found in overlaps(dataset):
        # What the looser matcher or the splits as supplied only repeat is said once.
        figures = (found.left, found.right, found.unit, found.distinct, found.left_rows, found.right_rows)
        if found.distinct and figures not in seen:
            seen.add(figures)
            state = "as supplied" if found.supplied else "after cutting"
            what = (
                f"{found.distinct:,} {found.unit}s ({found.match}) stand both in {found.left} and in "
                f"{found.right} {state}: {found.left_rows:,} and {found.right_rows:,} rows"
            )
            level: Literal["warning", "info"] = "info" if found.supplied else "warning"
            shown = tuple(f"{one.text!r} ({one.left} and {one.right})" for one in found.examples)
            yield Finding(level, what, found.examples[0].right, shown)


def _repetition_findings(dataset: Dataset) -> Iterator[Finding]:
    repeated = repetitions(dataset.train, dataset.labels)
    against = [found for found in repeated if found.contradicts]
    if against:
        what = f"{len(against):,} texts stand in train with different labels, such as {against[0].text!r}"
        yield Finding("warning", what, against[0].origin[0])
    if same := [found for found in repeated if not found.contradicts]:
        extra = sum(len(found.origin) - 1 for found in same)
        yield Finding("info", f"{extra:,} rows of train repeat another row", same[0].origin[1])


def _balance_findings(dataset: Dataset) -> Iterator[Finding]:
    for balance in class_balance(dataset):
        name, share = balance.majority
        if share > 0.9:
            yield Finding("warning", f"{share:.1%} of the {balance.split} rows have the label {name!r}")
        if absent := [label for label, count in balance.counts.items() if not count]:
            yield Finding("warning", f"no {balance.split} row has the label {', '.join(map(repr, absent[:5]))}")


def _text_findings(dataset: Dataset) -> Iterator[Finding]:
    for name, rows in (("train", dataset.train), ("dev", dataset.dev), ("test", dataset.test)):
        if empty := empty_texts(rows):
            yield Finding("warning", f"{len(empty):,} rows of {name} have an empty text", empty[0])
        if rows.pair is not None and len(set(rows.pair)) == 1 < len(rows):
            yield Finding("warning", f"every row of {name} has the same second text", rows.origin[0])

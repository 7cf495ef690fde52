"""Cutting rows into train, dev and test so that no passage stands in two of them.

Every cut orders the groups of rows (rows that share a passage, or a text where there is no passage) by the
SHA-256 of the seed and the group's text, and fills a part up to its number of rows. Where a group goes
therefore depends on neither the order of the rows nor a random number generator.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from welltuned.data.dataset import Labels, Split
from welltuned.data.near import clusters
from welltuned.errors import DataError

Rows = NDArray[np.int64]

FEWEST = 10
"""Rows a table must have to be cut."""

TEST, DEV = 0.20, 0.10
"""Shares of all rows that become test and dev where one table is cut into three."""


def normalise(text: str) -> str:
    """Text without differences of case, Unicode compatibility form and white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def digest(*parts: str) -> bytes:
    """SHA-256 over strings, each preceded by its length so that no two sequences coincide."""
    state = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        state.update(len(encoded).to_bytes(8, "little") + encoded)
    return state.digest()


def cut(rows: Split, share: float, seed: int, purpose: str) -> tuple[Split, Split]:
    """Cut a share of the rows off, whole groups only.

    Args:
        rows: what to cut.
        share: of the rows, in (0, 1).
        seed: decides which groups.
        purpose: the part's name; parts of one table must not be cut in the same order.

    Returns:
        The part of ``round(share * N)`` rows (fewer where groups are large), and the rest; both in the
        order of the source.

    Raises:
        DataError: fewer than ten rows, or too few groups.
    """
    part = _part(rows, [normalise(rows.group(i)) for i in range(len(rows))], share, seed, purpose)
    return rows.take(np.flatnonzero(part)), rows.take(np.flatnonzero(~part))


def _part(rows: Split, keys: Sequence[str], share: float, seed: int, purpose: str) -> NDArray[np.bool_]:
    """[N] which rows are cut off; rows of equal keys stay together. As :func:`cut` otherwise."""
    if len(rows) < FEWEST:
        raise DataError(
            f"{len(rows)} rows are too few to cut a {purpose} split from",
            where=rows.origin[0] if len(rows) else None,
            why="what is left of so few tells nothing of others",
            mend=f"supply at least {FEWEST} rows, or the splits as files train, dev and test in one folder",
        )
    groups: dict[str, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    target = max(1, round(share * len(rows)))
    taken: list[int] = []
    for key in sorted(groups, key=lambda key: digest(str(seed), purpose, key)):
        if len(taken) + len(groups[key]) <= target:
            taken += groups[key]
    if not taken:
        raise DataError(
            f"no {purpose} split of {target} rows can be cut",
            where=rows.origin[0],
            why=f"{len(rows)} rows share {len(groups)} passages, and one passage never stands in two splits",
            mend="supply the splits yourself, or rows with more passages",
        )
    part = np.zeros(len(rows), dtype=bool)
    part[taken] = True
    return part


def three_way(rows: Split, seed: int, keys: Sequence[str] | None = None) -> dict[str, Split]:
    """One table cut into 70% train, 10% dev and 20% test; rows of equal keys (else passages) stay together."""
    keys = keys or [normalise(rows.group(i)) for i in range(len(rows))]
    test = _part(rows, keys, TEST, seed, "test")
    left = np.flatnonzero(~test)
    rest = rows.take(left)
    dev = _part(rest, [keys[int(i)] for i in left], DEV / (1 - TEST), seed, "dev")
    return {
        "train": rest.take(np.flatnonzero(~dev)),
        "dev": rest.take(np.flatnonzero(dev)),
        "test": rows.take(np.flatnonzero(test)),
    }


def near_groups(rows: Split) -> list[str]:
    """[N] a key for each row, equal where passages are nearly the same: the least text of the cluster."""
    texts = [normalise(rows.group(i)) for i in range(len(rows))]
    least: dict[int, str] = {}
    first = clusters(texts)
    for at, text in zip(first, texts, strict=True):
        least[at] = min(least.get(at, text), text)
    return [least[at] for at in first]


def complete(supplied: Mapping[str, Split], seed: int, test_share: float) -> tuple[dict[str, Split], list[str]]:
    """Cut the splits that are missing from those supplied; says what it did.

    Only train: 70/10/20. No test: ``test_share`` of train, or one half of dev where dev is the larger; none at all
    where that share is 0. No dev: one tenth of train.
    """
    splits = dict(supplied)
    if set(splits) == {"train"} and test_share:
        splits = three_way(splits["train"], seed)
        return splits, [f"one table is supplied and cut, no passage in two splits: {sizes(splits)}"]
    notes = []
    if "test" not in splits and not test_share:
        splits["test"] = splits["train"].take(np.empty(0, np.int64))
    elif "test" not in splits:
        donor, share = ("dev", 0.5) if len(splits["dev"]) > len(splits["train"]) else ("train", test_share)
        splits["test"], splits[donor] = cut(splits[donor], share, seed, "test")
        notes.append(_said("test", donor, splits))
    if "dev" not in splits:
        splits["dev"], splits["train"] = cut(splits["train"], DEV, seed, "dev")
        notes.append(_said("dev", "train", splits))
    return splits, notes


def _said(part: str, donor: str, splits: Mapping[str, Split]) -> str:
    whole = len(splits[part]) + len(splits[donor])
    return (
        f"no {part} split is supplied: {len(splits[part]):,} of the {whole:,} {donor} rows become {part}, "
        f"{len(splits[donor]):,} stay {donor}; the two share no passage"
    )


def sizes(splits: Mapping[str, Split]) -> str:
    """Rows of each split, as words."""
    return ", ".join(f"{len(rows):,} {name}" for name, rows in splits.items())


def pool(supplied: Mapping[str, Split], seed: int) -> tuple[dict[str, Split], list[str]]:
    """All rows together, each different row once, cut anew into 70% train, 10% dev and 20% test.

    Rows whose passages are the same, or nearly so, stay together.
    """
    rows = _concatenated(list(supplied.values()))
    first: dict[bytes, int] = {}
    for i in range(len(rows)):
        first.setdefault(_row_digest(rows, i), i)
    kept = rows.take(np.fromiter(first.values(), np.int64, len(first)))
    keys = near_groups(kept)
    splits = three_way(kept, seed, keys)
    notes = [f"all {len(rows):,} rows ({sizes(supplied)}) are pooled and cut anew by passage: {sizes(splits)}"]
    passages = {normalise(kept.group(i)) for i in range(len(kept))}
    if joined := len(passages) - len(set(keys)):
        notes.append(f"{joined:,} passages are nearly the same as another and stay in one split with it")
    if dropped := len(rows) - len(kept):
        notes.append(f"{dropped:,} rows that repeat another row exactly are dropped before the cut")
    return splits, notes


def _row_digest(rows: Split, i: int) -> bytes:
    label = "" if rows.label is None else str(rows.label[i])
    return digest(rows.text[i], rows.pair[i] if rows.pair is not None else "", label)


def _concatenated(parts: Sequence[Split]) -> Split:
    labels = [part.label for part in parts if part.label is not None]
    return Split(
        text=tuple(text for part in parts for text in part.text),
        pair=None if parts[0].pair is None else tuple(pair for part in parts for pair in part.pair or ()),
        label=np.concatenate(labels) if labels else None,
        origin=tuple(place for part in parts for place in part.origin),
    )


def cap(rows: Split, most: int | None, seed: int) -> Split:
    """A fixed random subset of at most so many rows, in the order of the source.

    A smaller subset is contained in a larger one.
    """
    if most is None or len(rows) <= most:
        return rows
    keys = [digest(str(seed), "cap", rows.text[i], rows.group(i)) for i in range(len(rows))]
    order = sorted(range(len(rows)), key=keys.__getitem__)
    return rows.take(np.array(sorted(order[:most]), dtype=np.int64))


def refuse_untrained(splits: Mapping[str, Split], labels: Sequence[str]) -> None:
    """Every class must occur in train.

    Raises:
        DataError: names a class that does not, and a place where it does.
    """
    trained = set(_labels(splits["train"]).tolist())
    for name, rows in splits.items():
        for i, label in enumerate(_labels(rows).tolist()):
            if label not in trained:
                missing = len(labels) - len(trained)
                raise DataError(
                    f"the class {labels[label]!r} occurs in {name} but in no row of train"
                    + (f" ({missing} such classes)" if missing > 1 else ""),
                    where=rows.origin[i],
                    mend="add rows of this class to train, remove it, or try another split seed or a larger "
                    "--max-train-samples",
                )


def _labels(rows: Split) -> Labels:
    if rows.label is None:
        raise ValueError("the labels of this split are sealed")
    return rows.label


def fingerprint(splits: Mapping[str, Split], labels: Iterable[str]) -> str:
    """SHA-256, in hexadecimal digits, over class names and every row and label of every split."""
    state = hashlib.sha256(digest(*labels))
    for name, rows in splits.items():
        state.update(digest(name, str(len(rows)), "single" if rows.pair is None else "pair"))
        for i in range(len(rows)):
            state.update(_row_digest(rows, i))
    return state.hexdigest()


def sealed(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The splits without any labels."""
    return {name: replace(rows, label=None) for name, rows in splits.items()}

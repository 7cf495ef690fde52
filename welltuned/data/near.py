"""Texts that are nearly the same: word triples in common, found by MinHash and checked exactly.

Two texts are near when the Jaccard similarity of their sets of word triples is 0.8 or more; nearness is carried on, so
that a chain of near texts is one cluster. MinHash with banding (Broder 1997; Leskovec, Rajaraman and Ullman, "Mining of
Massive Datasets", section 3.4) proposes pairs, and each is checked on the sets themselves: nothing false is found, and
a pair at exactly 0.8 is missed with a chance of 2 in 10,000.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

NEAR = 0.8
SHINGLE = 3
BANDS, BAND = 16, 4
_BLOCK = 2_000_000
"""Hashes at once, to bound memory."""

# Scripts written without spaces count by sign.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")


def clusters(texts: Sequence[str]) -> list[int]:
    """[N] for each text the place of the first text of its cluster; a text near no other is its own."""
    first: dict[str, int] = {}
    spelled = [" ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold())) or text for text in texts]
    alike = [first.setdefault(text, i) for i, text in enumerate(spelled)]
    places = list(first.values())
    sets = _shingles([spelled[i].split() for i in places])
    root = list(range(len(places)))
    for group in _proposed(sets):
        _join(group, sets, root)
    lowest = {text: places[_find(root, at)] for at, text in enumerate(first)}
    return [lowest[spelled[i]] for i in alike]


def _shingles(words: Sequence[Sequence[str]]) -> list[Hashes]:
    """The sorted set of hashes of each text's word triples; a shorter text is one shingle."""
    identity: dict[str, int] = {}
    sets = []
    for text in words:
        ids = np.array([identity.setdefault(word, len(identity) + 1) for word in text], np.uint64)
        width = min(SHINGLE, max(1, len(ids)))
        mixed = np.zeros(max(1, len(ids) - width + 1), np.uint64)
        for at in range(width if len(ids) else 0):
            mixed = _mix(mixed ^ ids[at : at + len(mixed)])
        sets.append(np.unique(mixed))
    return sets


def _mix(values: Hashes) -> Hashes:
    """A bijection that scatters 64-bit numbers (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        mixed: Hashes = values + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def _proposed(sets: Sequence[Hashes]) -> list[list[int]]:
    """Groups of texts that agree in a whole band of their MinHash signatures."""
    groups = []
    signatures = _signatures(sets)  # [N, BANDS * BAND]
    for band in range(BANDS):
        part = signatures[:, band * BAND : (band + 1) * BAND]
        key = np.zeros(len(part), np.uint64)
        for column in part.T:
            key = _mix(key ^ column)
        order = np.argsort(key, kind="stable")
        edges = np.concatenate([[0], np.flatnonzero(np.diff(key[order])) + 1, [len(order)]])
        groups += [order[edges[at] : edges[at + 1]].tolist() for at in np.flatnonzero(np.diff(edges) > 1)]
    return groups


def _signatures(sets: Sequence[Hashes]) -> Hashes:
    """[N, BANDS * BAND] the least hash of each set under as many hash functions."""
    seeds = _mix(np.arange(1, BANDS * BAND + 1, dtype=np.uint64))
    found = np.empty((len(sets), len(seeds)), np.uint64)
    ends = np.cumsum([len(one) for one in sets]) if sets else np.zeros(0, np.int64)
    start = 0
    while start < len(sets):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _BLOCK, side="right")))
        values = np.concatenate(sets[start:stop])
        offsets = np.concatenate([[0], ends[start : stop - 1] - before])
        for column, seed in enumerate(seeds):
            found[start:stop, column] = np.minimum.reduceat(_mix(values ^ seed), offsets)
        start = stop
    return found


def _join(group: Sequence[int], sets: Sequence[Hashes], root: list[int]) -> None:
    """Put those of a proposed group that are near each other into one cluster."""
    for at, one in enumerate(group):
        for other in group[:at]:
            a, b = _find(root, one), _find(root, other)
            if a != b and jaccard(sets[one], sets[other]) >= NEAR:
                root[max(a, b)] = min(a, b)


def jaccard(a: Hashes, b: Hashes) -> float:
    """Shared part of two sorted sets."""
    if min(len(a), len(b)) < NEAR * max(len(a), len(b)):
        return 0.0  # whatever they share, it cannot be enough
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


def _find(root: list[int], at: int) -> int:
    while root[at] != at:
        root[at] = root[root[at]]
        at = root[at]
    return at

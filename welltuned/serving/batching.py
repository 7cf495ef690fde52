"""Which of the rows that wait are computed together."""

from __future__ import annotations

from collections.abc import Sequence

from welltuned.batches import PAD_MULTIPLE

SPARED = 24
"""Tokens that a forward's own cost is worth, whatever it computes: MiniLM on one core takes as long for the call of a
single row as for some 25 tokens more. A row joins a batch only if the padding that it brings costs less."""


def together(lengths: Sequence[int], tokens: int, rows: int) -> list[int]:
    """The oldest row, and those nearest to it in length, as far as a batch has room and it pays.

    The oldest is always among them, so that nothing waits forever for company of its length.

    Args:
        lengths: [N] tokens of each row that waits, oldest first.
        tokens: of the batch at most, padding included; a single row may have more.
        rows: of the batch at most.

    Returns:
        Indices into ``lengths``, shortest first.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    low = order.index(0)
    high = low + 1
    while high - low < rows:
        count, longest = high - low, lengths[order[high - 1]]
        sides = []  # the padding that one more row brings, where it stands, and the longest then
        if low:
            sides.append((longest - lengths[order[low - 1]], -1, longest))
        if high < len(order):
            above = lengths[order[high]]
            sides.append((count * (above - longest), 1, above))
        sides = [one for one in sides if one[0] <= SPARED and (count + 1) * _padded(one[2]) <= tokens]
        if not sides:
            break
        _, side, _ = min(sides)
        low, high = (low - 1, high) if side < 0 else (low, high + 1)
    return order[low:high]


def _padded(length: int) -> int:
    return -(-length // PAD_MULTIPLE) * PAD_MULTIPLE

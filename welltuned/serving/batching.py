"""Which of the rows that wait are computed together."""

from __future__ import annotations

from collections.abc import Sequence

from welltuned.batches import PAD_MULTIPLE

PADDING = 0.25
"""Most of a batch that may be padding: on a CPU a padded token costs as much as another."""


def together(lengths: Sequence[int], tokens: int, rows: int) -> list[int]:
    """The oldest row, and those nearest to it in length, as far as a batch has room.

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
    high, held, oldest = low + 1, lengths[0], lengths[0]

    def fits(count: int, longest: int, real: int) -> bool:
        area = count * -(-longest // PAD_MULTIPLE) * PAD_MULTIPLE
        return area <= tokens and (count == 1 or real >= (1 - PADDING) * count * longest)

    while high - low < rows:
        longest = lengths[order[high - 1]]
        sides = []
        if low and fits(high - low + 1, longest, held + lengths[order[low - 1]]):
            sides.append((oldest - lengths[order[low - 1]], -1))
        if high < len(order):
            above = lengths[order[high]]
            if fits(high - low + 1, above, held + above):
                sides.append((above - oldest, 1))
        if not sides:
            break
        _, side = min(sides)
        low, high = (low - 1, high) if side < 0 else (low, high + 1)
        held += lengths[order[low if side < 0 else high - 1]]
    return order[low:high]

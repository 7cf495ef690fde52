"""Numbers as people read them: shares, counts, bytes, times and p-values, each in one way throughout.

Every function takes ``None`` or NaN for "not measured" and answers :data:`MISSING`.
"""

from __future__ import annotations

import math

from welltuned.record import Score, SearchTrial, Utilisation

MISSING = "n/a"
MIB = 1024**2
_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")
_COMPACT = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as ``71.2%``; a share too small for the digits is told as such (``<0.1%``)."""
    if share is None or math.isnan(share):
        return MISSING
    least = 10.0**-digits
    if 0 < share * 100 < least:
        return f"<{least:.{digits}f}%"
    return f"{share:.{digits}%}"


def interval(score: Score | None) -> str:
    """The interval of a score, in percent: ``69.1 to 73.2``."""
    return MISSING if score is None else f"{score.low * 100:.1f} to {score.high * 100:.1f}"


def level(score: Score | None) -> str:
    """The level of a score's interval: ``95%``."""
    return f"{(score.level if score else 0.95) * 100:g}%"


def points(difference: float | None) -> str:
    """A difference of two shares in percentage points, signed: ``+1.2``."""
    if difference is None or math.isnan(difference):
        return MISSING
    rounded = round(difference * 100, 1)
    return "0.0" if rounded == 0 else f"{rounded:+.1f}".replace("-", "−")


def p_value(p: float | None) -> str:
    """A p-value to three places, never as zero: ``0.012``, ``<0.001``."""
    if p is None or math.isnan(p):
        return MISSING
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def count(number: int | None) -> str:
    """A whole number with thousands separators: ``1,538``."""
    return MISSING if number is None else f"{number:,}"


def compact(number: float) -> str:
    """A count in short, for the ticks of an axis: ``1.5k``, ``22.7M``."""
    for unit, sign in _COMPACT:
        if abs(number) >= unit:
            return f"{number / unit:.3g}{sign}"
    return f"{number:.3g}"


def mebibytes(size: int | None) -> str:
    """Bytes in MiB, without the unit: ``1,234``; below ten with one decimal."""
    if size is None:
        return MISSING
    amount = size / MIB
    return f"{amount:,.1f}" if amount < 10 else f"{amount:,.0f}"


def size(number: int | None) -> str:
    """Bytes in the largest binary unit that leaves at least one: ``1.2 GiB``."""
    if number is None:
        return MISSING
    power = 0
    while abs(number) >= 1024 ** (power + 1) and power < len(_SIZES) - 1:
        power += 1
    return f"{number:,} B" if power == 0 else f"{number / 1024**power:.1f} {_SIZES[power]}"


def seconds(time: float | None) -> str:
    """Seconds without the unit: ``4.2``, from a hundred on ``1,234``."""
    if time is None or math.isnan(time):
        return MISSING
    return f"{time:.1f}" if time < 99.95 else f"{time:,.0f}"


def duration(time: float | None) -> str:
    """A time with its unit: ``4.2 s``, ``3 min 04 s``, ``1 h 02 min``."""
    if time is None or math.isnan(time):
        return MISSING
    if time < 59.95:
        return f"{time:.1f} s"
    minutes, rest = divmod(round(time), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(time / 60), 60)
    return f"{hours:,} h {minutes:02d} min"


def utilisation(one: Utilisation) -> str:
    """Model FLOPs utilization in words: ``52% of what the machine's matrix products allow``."""
    told = f"{percent(one.share, 0)} of what the machine's matrix products allow"
    return told if one.share <= 1 else f"{told}; they were measured while it was busier than in training"


def number(value: float | None) -> str:
    """A setting or loss to four significant digits: ``0.0005``, ``0.6931``."""
    return MISSING if value is None or math.isnan(value) else f"{value:.4g}"


def given_up(one: SearchTrial) -> str:
    """Where a trial that was not trained to its end was given up."""
    if one.dev_by_seed:
        return "given up after its first seed"
    return f"given up after {one.given_up} epoch{'' if one.given_up == 1 else 's'}"

"""Paired statements, in figures and in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from welltuned import stats
from welltuned.judging.answers import Terms
from welltuned.record import Statement


def statements(pairs: Sequence[stats.Contrast], terms: Terms) -> list[Statement]:
    """All pairs in figures and sentences; tests of equivalence are corrected over all pairs, as those of difference."""
    tests = [stats.equivalence(pair.result, terms.margin, 1 - terms.level) for pair in pairs]
    adjusted = stats.holm([test.p for test in tests])
    return [statement(pair, float(p), terms) for pair, p in zip(pairs, adjusted, strict=True)]


def statement(pair: stats.Contrast, p_equivalence: float, terms: Terms) -> Statement:
    """A pair in figures, and in a sentence told from the winner's side."""
    first = pair.better or pair.a
    difference, interval = pair.seen_from(first)
    low, high = (100 * bound + 0.0 for bound in (interval.lower, interval.upper))  # + 0.0: no minus before nought
    said = f"{100 * difference:+.1f} points [{low:+.2f}, {high:+.2f}]"
    loser = pair.b if first == pair.a else pair.a
    equivalent = p_equivalence <= 1 - terms.level
    within = f"{'' if equivalent else 'not '}shown to be within {points(terms.margin)} (p = {p_equivalence:.2g})"
    return Statement(
        a=pair.a,
        b=pair.b,
        difference=pair.difference,
        low=pair.interval.lower,
        high=pair.interval.upper,
        p=pair.result.p,
        p_holm=pair.p_adjusted,
        scope=pair.result.scope,
        sentence=f"{pair.better} beats {loser}: {said}" if pair.better else f"no difference found: {said}, {within}",
        level=terms.level,
        significant=pair.significant,
        margin=terms.margin,
        p_equivalence=p_equivalence,
        equivalent=equivalent,
    )


def points(share: float) -> str:
    """A share of accuracy in words: ``1 point``, ``2.5 points``."""
    return f"{100 * share:g} point{'' if round(100 * share, 6) == 1 else 's'}"

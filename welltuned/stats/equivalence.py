"""Is the difference small enough not to matter? Equivalence and non-inferiority within a stated margin."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import norm, t

from welltuned.errors import UsageError
from welltuned.stats.intervals import Interval, tango_statistic
from welltuned.stats.paired import PairedResult


@dataclass(frozen=True)
class MarginTest:
    """A test against a margin.

    Attributes:
        claim: what is shown where ``shown`` is true, in words.
        margin: as a fraction of accuracy.
        p: p-value of the opposite of the claim.
        alpha: error allowed.
        shown: p <= alpha.
        interval: for the difference, at level 1 - 2 alpha.
    """

    claim: str
    margin: float
    p: float
    alpha: float
    shown: bool
    interval: Interval


def _p_above(result: PairedResult, bound: float) -> float:
    """One-sided p-value of H0: difference <= bound."""
    if result.discordant is not None:
        return float(norm.sf(tango_statistic(*result.discordant, result.n, bound)))
    return float(t.sf((result.difference - bound) / result.standard_error, result.df))


def _p_below(result: PairedResult, bound: float) -> float:
    """One-sided p-value of H0: difference >= bound."""
    if result.discordant is not None:
        return float(norm.cdf(tango_statistic(*result.discordant, result.n, bound)))
    return float(t.cdf((result.difference - bound) / result.standard_error, result.df))


def _check(margin: float, alpha: float) -> None:
    if not 0 < margin < 1:
        raise UsageError(
            f"a margin of {margin} is not between 0 and 1",
            where="margin",
            mend="give it as a fraction: 0.01 for one point of accuracy",
        )
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha of {alpha} is not between 0 and 0.5", where="alpha")


def equivalence(result: PairedResult, margin: float, alpha: float = 0.05) -> MarginTest:
    """Two one-sided tests (Schuirmann 1987): is the difference within (-margin, +margin)?

    Score tests at the margins with one seed each, t tests otherwise.

    Raises:
        UsageError: a margin outside (0, 1) or alpha outside (0, 0.5).
    """
    _check(margin, alpha)
    p = max(_p_above(result, -margin), _p_below(result, margin))
    claim = f"the difference is under {100 * margin:.1f} points either way"
    return MarginTest(claim, margin, p, alpha, p <= alpha, result.interval_at(1 - 2 * alpha))


def noninferiority(result: PairedResult, margin: float, alpha: float = 0.05) -> MarginTest:
    """One one-sided test: is A at most ``margin`` worse than B?

    Raises:
        UsageError: a margin outside (0, 1) or alpha outside (0, 0.5).
    """
    _check(margin, alpha)
    p = _p_above(result, -margin)
    claim = f"A is less than {100 * margin:.1f} points worse than B"
    return MarginTest(claim, margin, p, alpha, p <= alpha, result.interval_at(1 - 2 * alpha))

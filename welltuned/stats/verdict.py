"""Which configuration won: the cheapest one not worse than the best, and one sentence that says so."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from numpy.typing import ArrayLike
from scipy.stats import t

from welltuned.errors import DataError
from welltuned.stats.family import Candidate, Contrast, check_candidates, contrasts
from welltuned.stats.intervals import AccuracySummary, Interval, accuracy_summary, as_correct, check_level
from welltuned.stats.paired import PairedResult

Outcome = Literal[
    "beats every other", "cheapest not worse", "no difference", "majority not beaten", "one configuration"
]
MAJORITY = "the majority class"


@dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        outcome: which of the five cases holds.
        sentence: the answer in plain English.
        best: name of the highest mean accuracy (the cheaper one of equals).
        winner: name of the cheapest configuration not worse than the best; None where no
            configuration beats the majority class.
        accuracy: each configuration's summary, by name.
        pairs: every pair of configurations, corrected as one family.
        against_majority: each configuration against the majority class, corrected as a second family;
            empty where the majority class was not given.
        smallest_detectable: the difference that every pair would show with power 0.8; nan for a
            single configuration.
        level: confidence level of each family.
    """

    outcome: Outcome
    sentence: str
    best: str
    winner: str | None
    accuracy: dict[str, AccuracySummary]
    pairs: tuple[Contrast, ...]
    against_majority: tuple[Contrast, ...]
    smallest_detectable: float
    level: float

    def pair(self, a: str, b: str) -> Contrast:
        """The contrast of two configurations, in whichever order it is stored."""
        return next(pair for pair in self.pairs if {pair.a, pair.b} == {a, b})


def detectable(result: PairedResult, *, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1) -> float:
    """The true difference that a comparison as noisy as this one finds with the given power.

    ``(t[1 - alpha / 2m] + t[power]) * standard error``, at most 1. Unlike
    :func:`~welltuned.stats.smallest_detectable` it needs no assumptions, but a finished experiment.
    """
    quantiles = t.isf(alpha / (2 * comparisons), result.df) + t.ppf(power, result.df)
    return min(1.0, float(quantiles * result.standard_error))


def verdict(candidates: Sequence[Candidate], *, majority: ArrayLike | None = None, level: float = 0.95) -> Verdict:
    """Judge configurations tested on the same N items.

    The best has the highest mean accuracy. Every pair is compared and Holm's correction applied over all
    of them. The winner is the cheapest configuration whose difference to the best is not significant.

    Args:
        candidates: one or more configurations.
        majority: [N] booleans, whether the majority class of the training rows is right on each item.
        level: confidence level of the family.

    Raises:
        DataError: different numbers of items, or correctness that is no table of 0 and 1.
        UsageError: no candidates, repeated names, or a level outside (0, 1).
    """
    check_level(level)
    check_candidates(candidates)
    accuracy = {c.name: accuracy_summary(c.correct, level, deterministic=c.deterministic) for c in candidates}
    pairs = contrasts(list(itertools.combinations(candidates, 2)), level)
    best = min(candidates, key=lambda c: (-accuracy[c.name].mean, c.cost))
    worse = {name for pair in pairs if pair.better == best.name for name in (pair.a, pair.b)} - {best.name}
    kept = [candidate for candidate in candidates if candidate.name not in worse]
    winner = min(kept, key=lambda c: (c.cost, -accuracy[c.name].mean))
    baseline = () if majority is None else _against_majority(candidates, majority, level)
    outcome = _outcome(len(candidates), len(worse), pairs, baseline)
    seen = [detectable(pair.result, alpha=1 - level, comparisons=len(pairs)) for pair in pairs]
    judged = Verdict(
        outcome=outcome,
        sentence="",
        best=best.name,
        winner=None if outcome == "majority not beaten" else winner.name,
        accuracy=accuracy,
        pairs=pairs,
        against_majority=baseline,
        smallest_detectable=max(seen, default=math.nan),
        level=level,
    )
    return replace(judged, sentence=_sentence(judged))


def _against_majority(candidates: Sequence[Candidate], majority: ArrayLike, level: float) -> tuple[Contrast, ...]:
    """Every candidate against the majority class, as a family of its own."""
    if as_correct(majority, "majority").shape[0] > 1:
        raise DataError("the majority class is one row of N booleans", where="majority")
    baseline = Candidate(MAJORITY, 0.0, majority, deterministic=True)
    return contrasts([(candidate, baseline) for candidate in candidates], level)


def _outcome(candidates: int, worse: int, pairs: Sequence[Contrast], baseline: Sequence[Contrast]) -> Outcome:
    if baseline and not any(contrast.better == contrast.a for contrast in baseline):
        return "majority not beaten"
    if candidates == 1:
        return "one configuration"
    if not any(pair.significant for pair in pairs):
        return "no difference"
    return "beats every other" if worse == candidates - 1 else "cheapest not worse"


def _percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _points(value: float) -> str:
    # Adding 0.0 turns a rounded -0.0 into 0.0.
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def _difference(difference: float, interval: Interval) -> str:
    return f"difference {_points(difference)} points [{_points(interval.lower)}, {_points(interval.upper)}]"


def _against(judged: Verdict, name: str, other: str) -> str:
    """Two accuracies and their difference, in words."""
    mine, theirs = (_percent(judged.accuracy[which].mean) for which in (name, other))
    return f"{mine} against {theirs}, {_difference(*judged.pair(name, other).seen_from(name))}"


def _sentence(judged: Verdict) -> str:
    """The answer in plain English; intervals are simultaneous over the family."""
    say = {
        "beats every other": _say_beats,
        "cheapest not worse": _say_cheapest,
        "no difference": _say_no_difference,
        "majority not beaten": _say_majority,
        "one configuration": _say_alone,
    }
    return say[judged.outcome](judged) + _caveat(judged)


def _runner_up(judged: Verdict) -> str:
    others = [name for name in judged.accuracy if name != judged.best]
    return max(others, key=lambda name: judged.accuracy[name].mean)


def _say_beats(judged: Verdict) -> str:
    second = _runner_up(judged)
    against = _against(judged, judged.best, second)
    return f"{judged.best} beats every other configuration; next comes {second}: {against}."


def _say_cheapest(judged: Verdict) -> str:
    best, winner = judged.best, judged.winner or judged.best
    if winner == best:
        second = _runner_up(judged)
        against = _against(judged, best, second)
        return f"{best} is the best and the cheapest not worse than it; next comes {second}: {against}."
    against = _against(judged, winner, best)
    return f"{winner} is the cheapest configuration not worse than the best ({best}): {against}."


def _say_no_difference(judged: Verdict) -> str:
    winner = judged.winner or judged.best
    other = judged.best if winner != judged.best else _runner_up(judged)
    return (
        f"No difference found; with this test set a difference under {100 * judged.smallest_detectable:.1f} "
        f"points cannot be seen reliably. {winner} is the cheapest; beside {other}: "
        f"{_against(judged, winner, other)}."
    )


def _say_majority(judged: Verdict) -> str:
    contrast = next(c for c in judged.against_majority if c.a == judged.best)
    mine = judged.accuracy[judged.best].mean
    theirs = mine - contrast.difference
    return (
        f"No configuration beats the majority class: {_percent(mine)} for the best ({judged.best}) against "
        f"{_percent(theirs)}, {_difference(contrast.difference, contrast.interval)}."
    )


def _say_alone(judged: Verdict) -> str:
    only = judged.accuracy[judged.best]
    lower, upper = (_percent(bound) for bound in only.interval)
    return f"{judged.best} stands alone, with nothing to compare: {_percent(only.mean)} [{lower}, {upper}]."


def _caveat(judged: Verdict) -> str:
    """A winner that was not shown to beat the majority class is said to be so."""
    above = {c.a for c in judged.against_majority if c.better == c.a}
    if not judged.against_majority or judged.winner is None or judged.winner in above:
        return ""
    return f" {judged.winner} was not shown to beat the majority class."

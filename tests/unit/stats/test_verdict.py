"""The verdict: the rule, the five cases, and what the sentence says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from welltuned.errors import DataError, UsageError
from welltuned.stats import Candidate, compare_pair, detectable, smallest_detectable, verdict

N = 2000


def model(accuracy, seeds=3, seed=0, noise=0.05):
    """Correctness on items of common difficulty, with a little noise of its own."""
    hard = np.random.default_rng(99).random(N)
    return hard + np.random.default_rng(seed).normal(0, noise, (seeds, N)) < accuracy


def majority(share):
    return np.random.default_rng(7).random(N) < share


def test_the_cheapest_not_worse_than_the_best_wins():
    answer = verdict(
        [
            Candidate("full", 66e6, model(0.874, seed=1)),
            Candidate("lora", 3e5, model(0.871, seed=2)),
            Candidate("head", 1e3, model(0.700, seed=3)),
        ],
        majority=majority(0.62),
    )
    assert (answer.outcome, answer.best, answer.winner) == ("cheapest not worse", "full", "lora")
    pair = answer.pair("lora", "full")
    difference, interval = pair.seen_from("lora")
    assert difference < 0
    assert interval.contains(0)
    accuracy = {name: f"{100 * summary.mean:.1f}%" for name, summary in answer.accuracy.items()}
    assert answer.sentence.startswith(
        f"lora is the cheapest configuration not worse than the best (full): "
        f"{accuracy['lora']} against {accuracy['full']}, difference {100 * difference:+.1f} points ["
    )
    assert answer.sentence.endswith("].")


def test_one_that_beats_every_other():
    answer = verdict([Candidate("a", 1, model(0.7)), Candidate("b", 9, model(0.9, seed=1))])
    assert (answer.outcome, answer.best, answer.winner) == ("beats every other", "b", "b")
    assert answer.sentence.startswith("b beats every other configuration; next comes a: 8")
    assert "difference +" in answer.sentence


def test_the_best_may_be_the_cheapest_of_those_not_worse():
    answer = verdict(
        [
            Candidate("a", 1, model(0.85, seed=1)),
            Candidate("b", 2, model(0.849, seed=2)),
            Candidate("c", 0.1, model(0.7, seed=3)),
        ]
    )
    best = max(answer.accuracy, key=lambda name: answer.accuracy[name].mean)
    assert answer.outcome == "cheapest not worse"
    assert (answer.best, answer.winner) == (best, "a")


def test_no_difference_says_what_could_have_been_seen():
    answer = verdict([Candidate(name, cost, model(0.8, seed=cost)) for name, cost in (("x", 1), ("y", 2))])
    assert (answer.outcome, answer.winner) == ("no difference", "x")
    seen = f"{100 * answer.smallest_detectable:.1f}"
    assert f"a difference under {seen} points cannot be seen reliably" in answer.sentence
    assert "x is the cheapest" in answer.sentence


def test_nothing_beats_the_majority_class():
    share = majority(0.62)
    answer = verdict([Candidate("full", 2, model(0.62, seed=1)), Candidate("head", 1, model(0.5))], majority=share)
    assert (answer.outcome, answer.winner) == ("majority not beaten", None)
    assert answer.sentence.startswith("No configuration beats the majority class: ")
    assert f"{100 * share.mean():.1f}%" in answer.sentence


def test_a_collapsed_model_does_not_beat_the_majority_class():
    share = majority(0.62)
    answer = verdict([Candidate("collapsed", 1, np.tile(share, (3, 1)))], majority=share)
    assert answer.outcome == "majority not beaten"
    assert "difference +0.0 points" in answer.sentence


def test_a_winner_not_above_the_majority_class_is_said_to_be_so():
    # The seeds of the cheap one lie far apart, so nothing sure can be said of it.
    wild = np.concatenate([model(accuracy, seeds=1, seed=4) for accuracy in (0.55, 0.75, 0.95)])
    answer = verdict([Candidate("steady", 2, model(0.85, seed=1)), Candidate("wild", 1, wild)], majority=majority(0.62))
    assert answer.winner == "wild"
    assert answer.sentence.endswith("wild was not shown to beat the majority class.")


def test_one_configuration_is_described():
    answer = verdict([Candidate("only", 1, model(0.8))])
    assert (answer.outcome, answer.winner, answer.pairs) == ("one configuration", "only", ())
    assert answer.sentence.startswith("only stands alone, with nothing to compare: ")
    assert math.isnan(answer.smallest_detectable)


def test_equal_scores_prefer_the_cheaper():
    table = model(0.8)
    answer = verdict([Candidate("dear", 5, table), Candidate("cheap", 1, table)])
    assert (answer.best, answer.winner) == ("cheap", "cheap")


def test_the_order_of_candidates_does_not_matter():
    candidates = [Candidate(name, cost, model(0.8 + cost / 50, seed=cost)) for cost, name in enumerate("abcd")]
    there, back = verdict(candidates), verdict(candidates[::-1])
    assert (there.sentence, there.winner) == (back.sentence, back.winner)


def test_correction_runs_over_all_pairs():
    candidates = [Candidate(name, cost, model(0.8, seed=cost)) for cost, name in enumerate("abcd")]
    answer = verdict(candidates)
    assert len(answer.pairs) == 6
    smallest = min(answer.pairs, key=lambda pair: pair.result.p)
    assert smallest.p_adjusted == pytest.approx(min(1, 6 * smallest.result.p))


def test_one_seed_speaks_of_trained_models_and_a_deterministic_baseline_of_itself():
    answer = verdict(
        [
            Candidate("lora", 2, model(0.85, seeds=3)),
            Candidate("tf-idf", 1, model(0.7, seeds=1, seed=2), deterministic=True),
        ]
    )
    assert answer.accuracy["tf-idf"].scope == "the methods"
    assert answer.pairs[0].result.seeds == (3, 1)
    single = verdict([Candidate("a", 1, model(0.8, 1)), Candidate("b", 1, model(0.9, 1, 1))])
    assert single.pairs[0].result.scope == "these trained models"


def test_detectable_after_the_fact_agrees_with_the_plan():
    a, b = model(0.80, seeds=1, seed=1, noise=0.1), model(0.80, seeds=1, seed=2, noise=0.1)
    planned = smallest_detectable(N, 1, float(a.mean()), float((a != b).mean()), comparisons=3)
    assert detectable(compare_pair(a, b), comparisons=3) == pytest.approx(planned, rel=0.06)


def test_names_must_differ_and_items_agree():
    with pytest.raises(UsageError, match="same name"):
        verdict([Candidate("a", 1, model(0.8)), Candidate("a", 2, model(0.9))])
    with pytest.raises(DataError, match="same items"):
        verdict([Candidate("a", 1, model(0.8)), Candidate("b", 2, model(0.9)[:, :50])])
    with pytest.raises(UsageError, match="no candidates"):
        verdict([])
    with pytest.raises(DataError, match="one row"):
        verdict([Candidate("a", 1, model(0.8))], majority=model(0.6))

"""From stored answers and opened labels to scores, paired statements and a verdict.

Needs records and arrays alone, no torch: ``compare`` judges with it once, and ``stats`` again from the same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from welltuned import alarms, stats
from welltuned.alarms import Failure, Panel, Standing
from welltuned.alarms.labels import suspects
from welltuned.baselines import Baseline
from welltuned.errors import WelltunedError
from welltuned.record import (
    Alarm,
    BestAfter,
    Budget,
    Cost,
    Measures,
    RunRecord,
    Score,
    Statement,
    Suspect,
    TableRow,
    read_arrays,
)

Correct = NDArray[np.bool_]
Ints = NDArray[np.int64]
Logits = NDArray[np.float32]
LEVEL = 0.95
MARGIN = 0.01
MOST_CLASSES = 20
"""With more classes the confusion matrix is left out of records; the most confused pairs stay."""


@dataclass(frozen=True)
class Terms:
    """By what is judged.

    Attributes:
        level: of every interval and family of statements.
        margin: a difference under it does not matter, as a share of accuracy.
        cost: what the cheapest configuration has least of.
    """

    level: float = LEVEL
    margin: float = MARGIN
    cost: Cost = "trained parameters"


@dataclass
class Entrant:
    """One line of the table: a configuration with its finished runs, and what broke the others off.

    ``budget`` is how it was tuned before, where it was.
    """

    name: str
    method: str
    model: str
    config: dict[str, Any]
    records: list[RunRecord] = field(default_factory=list)
    error: WelltunedError | None = None
    budget: Budget | None = None
    alarms: list[Alarm] = field(default_factory=list)

    @property
    def failure(self) -> str | None:
        """What broke it off, in words."""
        return None if self.error is None else self.error.message


@dataclass(frozen=True)
class Judgement:
    """What was judged; its fields stand in the record under the same names."""

    table: list[TableRow]
    statements: list[Statement]
    verdict: str
    winner: str | None
    smallest_visible: float | None
    alone: list[TableRow]
    suspects: list[Suspect]
    alarms: list[Alarm]


@dataclass(frozen=True)
class Baselines:
    """What stands beside the entrants.

    Attributes:
        standing: rows of every table: the majority class first, then TF-IDF with logistic regression.
        alone: what reads one text of two.
    """

    standing: Sequence[Baseline]
    alone: Sequence[Baseline] = ()

    def arrays(self) -> dict[str, Logits]:
        """All log-probabilities by ``NAME.SPLIT``."""
        return {
            f"{one.name}.{split}": getattr(one, split)
            for one in (*self.standing, *self.alone)
            for split in ("dev", "test")
        }


@dataclass(frozen=True)
class Answers:
    """The logits [S, N, C] of one configuration's seeds on one split."""

    logits: Logits
    labels: Ints

    @property
    def correct(self) -> Correct:
        """[S, N] whether each seed's run has each row right."""
        right: Correct = self.logits.argmax(axis=2) == self.labels
        return right


def judge(
    folder: Path, test: Ints, names: Sequence[str], entrants: Sequence[Entrant], baselines: Baselines, terms: Terms
) -> Judgement:
    """Judge what a comparison left in its folder.

    Args:
        folder: holds ``runs/NAME/predictions.safetensors`` of every record of the entrants.
        test: [M] the opened labels.
        names: of the classes.
        entrants: at least one that did not fail.
    """
    whole = [one for one in entrants if one.error is None]
    stored = {one.name: [_predictions(folder, record) for record in one.records] for one in whole}
    dev = stored[whole[0].name][0]["dev.labels"]
    answers = {
        name: {"dev": _stacked(arrays, "dev", dev), "test": _stacked(arrays, "test", test)}
        for name, arrays in stored.items()
    }
    table = []
    for one in entrants:
        one.alarms += _alarms(one, answers.get(one.name), baselines)
        table.append(method_row(one, answers[one.name], names, terms) if one.error is None else failed_row(one))
    table += [baseline_row(one, dev, test, names, terms) for one in baselines.standing]
    panel = Panel(
        {name: split["dev"].logits for name, split in answers.items()}, dev, baselines.standing[0].dev,
        {one.name: one.dev for one in baselines.alone},
    )  # fmt: skip
    contestants = [stats.Candidate(one.name, cost(one, terms.cost), answers[one.name]["test"].correct) for one in whole]
    majority = baselines.standing[0].test.argmax(axis=1) == test
    found = stats.verdict(contestants, majority=majority, level=terms.level)
    seeds = max(len(one.records) for one in whole)
    return Judgement(
        table=table,
        statements=statements(found.pairs, terms),
        verdict=found.sentence + (ONE_SEED if seeds == 1 else ""),
        winner=found.winner,
        smallest_visible=found.smallest_detectable if len(whole) > 1 else None,
        alone=[baseline_row(one, dev, test, names, terms) for one in baselines.alone],
        suspects=suspects(panel),
        alarms=alarms.raised(panel),
    )


def _alarms(entrant: Entrant, answers: dict[str, Answers] | None, baselines: Baselines) -> list[Alarm]:
    """Alarms about one entrant among the others; those of its runs come with their records."""
    if entrant.error is not None:
        return alarms.raised(Failure(entrant.error))
    if answers is None or len(baselines.standing) < 2:
        return []
    return alarms.raised(Standing(answers["dev"].logits, answers["dev"].labels, baselines.standing[1].dev))


ONE_SEED = " With one seed this is about these trained models, not yet about the methods."


def _predictions(folder: Path, record: RunRecord) -> dict[str, NDArray[Any]]:
    return read_arrays(folder / "runs" / record.name / "predictions.safetensors")


def _stacked(stored: Sequence[dict[str, NDArray[Any]]], split: str, labels: Ints) -> Answers:
    return Answers(np.stack([arrays[f"{split}.logits"] for arrays in stored]), labels)


def cost(entrant: Entrant, kind: Cost) -> float:
    """What a configuration costs: trained parameters, or seconds where models differ."""
    return float(entrant.records[0].trained_parameters) if kind == "trained parameters" else seconds(entrant)


def seconds(entrant: Entrant) -> float:
    """Mean over seeds of training, evaluation on dev, and the encoding of train and dev where that is done once."""
    parts = ("features", "train", "dev")
    return float(np.mean([sum(record.timings.get(part, 0.0) for part in parts) for record in entrant.records]))


def score(correct: Correct, terms: Terms, *, deterministic: bool = False) -> Score:
    """The accuracy of correctness [S, N] with its interval."""
    summary = stats.accuracy_summary(correct, terms.level, deterministic=deterministic)
    return Score(accuracy=summary.mean, low=summary.interval.lower, high=summary.interval.upper, level=terms.level)


def measures(answers: Answers, names: Sequence[str]) -> Measures:
    """F1, MCC, log-loss and calibration: means over seeds; confusions and the reliability curve over all seeds."""
    each = [stats.scores(logits.astype(np.float64), answers.labels) for logits in answers.logits]
    pooled = stats.scores(np.concatenate(answers.logits).astype(np.float64), np.tile(answers.labels, len(each)))
    confusion = np.array(pooled.confusion)
    wrong = confusion - np.diag(np.diag(confusion))
    worst = [divmod(int(at), len(names)) for at in np.argsort(-wrong, axis=None, kind="stable")[:10]]
    return Measures(
        f1=float(np.mean([one.f1 for one in each])),
        f1_of=names[1] if len(names) == 2 else "all classes, unweighted",
        mcc=float(np.mean([one.mcc for one in each])),
        log_loss=float(np.mean([one.log_loss for one in each])),
        ece=float(np.mean([one.ece for one in each])),
        ece_adaptive=float(np.mean([one.ece_adaptive for one in each])),
        confusion=confusion.tolist() if len(names) <= MOST_CLASSES else None,
        confused=[(names[true], names[said], int(wrong[true, said])) for true, said in worst if wrong[true, said]],
        confidence=list(pooled.curve.confidence),
        accuracy=list(pooled.curve.accuracy),
        count=list(pooled.curve.count),
    )


def method_row(entrant: Entrant, answers: dict[str, Answers], names: Sequence[str], terms: Terms) -> TableRow:
    """The line of a configuration whose runs are all finished."""
    first = entrant.records[0]
    train = first.spec.train
    return TableRow(
        **_described(entrant),
        kind="method",
        lr=train.lr,
        epochs=train.epochs,
        batch_size=train.batch_size,
        trained_parameters=first.trained_parameters,
        all_parameters=first.all_parameters,
        memory_bytes=max(record.memory.peak for record in entrant.records),
        seconds=seconds(entrant),
        budget=entrant.budget,
        dev=score(answers["dev"].correct, terms),
        test=score(answers["test"].correct, terms),
        measures=measures(answers["test"], names),
        alarms=once([*entrant.alarms, *(alarm for record in entrant.records for alarm in record.alarms)]),
    )


def failed_row(entrant: Entrant) -> TableRow:
    """The line of a configuration that was broken off."""
    return TableRow(**_described(entrant), kind="failed", failure=entrant.failure, alarms=once(entrant.alarms))


def _described(entrant: Entrant) -> dict[str, Any]:
    return {
        "name": entrant.name,
        "method": entrant.method,
        "model": entrant.model,
        "config": entrant.config,
        "seeds": [record.spec.train.seed for record in entrant.records],
        "runs": [record.name for record in entrant.records],
    }


def baseline_row(baseline: Baseline, dev: Ints, test: Ints, names: Sequence[str], terms: Terms) -> TableRow:
    """The line of a baseline, which knows no seeds."""
    on = {"dev": Answers(baseline.dev[None], dev), "test": Answers(baseline.test[None], test)}
    return TableRow(
        name=baseline.name,
        kind="baseline",
        trained_parameters=baseline.parameters,
        seconds=baseline.seconds,
        dev=score(on["dev"].correct, terms, deterministic=True),
        test=score(on["test"].correct, terms, deterministic=True),
        measures=measures(on["test"], names),
    )


def once(found: Sequence[Alarm]) -> list[Alarm]:
    """The first alarm of each kind."""
    return list({alarm.kind: alarm for alarm in reversed(found)}.values())[::-1]


def budget(dev_scores: Sequence[float], seconds: float) -> Budget:
    """How much a configuration was tuned, from the dev scores of its trials in any order and the seconds they took.

    Says the expected best dev score after 1, 2, ... trials (Dodge et al. 2019): more tuning shows as what it is.
    """
    found = [stats.expected_best(dev_scores, k) for k in range(1, len(dev_scores) + 1)]
    after = [BestAfter(trials=one.k, value=one.value, low=one.interval.lower, high=one.interval.upper) for one in found]
    return Budget(trials=len(dev_scores), seconds=seconds, scores=list(dev_scores), best_after=after)


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


@dataclass(frozen=True)
class RunJudgement:
    """What is said of a single run; its fields stand in the record under the same names."""

    dev: Score
    test: Score | None
    majority_dev: float
    learned: bool | None
    measures: Measures | None
    verdict: str


def judge_run(record: RunRecord, arrays: dict[str, NDArray[Any]], labels: Ints | None) -> RunJudgement:
    """Judge a single run by its predictions; ``labels`` [M] are None where it was to overfit a few rows."""
    dev = arrays["dev.labels"]
    majority = float(np.bincount(dev).max() / len(dev)) if len(dev) else 0.0
    test = None if labels is None else _wilson(arrays["test.logits"].argmax(axis=1) == labels)
    return RunJudgement(
        dev=_wilson(arrays["dev.logits"].argmax(axis=1) == dev),
        test=test,
        majority_dev=majority,
        learned=None if record.spec.train.overfit is None else record.dev_accuracy == 1.0,
        measures=None if labels is None else measures(Answers(arrays["test.logits"][None], labels), record.labels),
        verdict=_overfitted(record) if test is None else _verdict(record, test, majority),
    )


def _wilson(correct: Correct) -> Score:
    interval = stats.wilson(int(correct.sum()), len(correct), LEVEL)
    return Score(accuracy=float(correct.mean()), low=interval.lower, high=interval.upper, level=LEVEL)


def _verdict(record: RunRecord, test: Score, majority: float) -> str:
    against = "above" if record.dev_accuracy > majority else "no better than"
    last = record.curve[-1]
    turned = (
        f"; after that peak {100 * record.lost_after_peak:.1f} points of dev were lost by epoch {last.epoch}, while "
        f"train went on to {last.train_accuracy:.1%}"
        if record.lost_after_peak > 0
        else ""
    )
    return (
        f"test accuracy {test.accuracy:.1%} [{test.low:.1%}, {test.high:.1%}]; dev {record.dev_accuracy:.1%} at epoch "
        f"{record.best_epoch} of {len(record.curve)}, {against} the majority class's {majority:.1%}{turned}"
    )


def _overfitted(record: RunRecord) -> str:
    rows = record.rows["dev"]
    right = round(record.dev_accuracy * rows)
    if right == rows:
        first = next(row.epoch for row in record.curve if row.dev_accuracy == 1.0)
        return f"learned: all {rows} rows are right from epoch {first} on, so training works"
    return f"not learned: {right} of {rows} rows are right after {len(record.curve)} epochs; {_cause(record)}"


def _cause(record: RunRecord) -> str:
    """Why a few rows were not learned, as far as the curve tells."""
    losses = [row.train_loss for row in record.curve]
    lr, usual = record.spec.train.lr, f"this method starts from --lr {record.usual_lr:g}"
    if losses[-1] > 1.2 * min(losses) and losses[-1] > 0.5 * losses[0]:
        return (
            f"the loss jumps from {min(losses):.2f} to {losses[-1]:.2f}: the learning rate {lr:g} is too high; {usual}"
        )
    if losses[-1] < 0.8 * losses[0]:
        return f"the loss is still falling ({losses[0]:.2f} to {losses[-1]:.2f}): more epochs are likely to do it"
    if lr >= record.usual_lr:
        return (
            f"the loss hardly moves at a learning rate of {lr:g}: it is too high, or two of these rows are the same "
            f"text with different labels (welltuned check tells); {usual}"
        )
    return f"the loss hardly moves: the learning rate {lr:g} is too low for so few steps; {usual}"

"""The trials of a search: what is varied, what was tried, and the best so far."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from welltuned import judging
from welltuned.checkpoints import forget_checkpoints
from welltuned.errors import DivergedError, ResourceError, UsageError, WelltunedError
from welltuned.gathering import train_together
from welltuned.methods._base import Choice, Range
from welltuned.plan import Candidate, varied
from welltuned.record import Budget, EpochRow, RunRecord, SearchTrial
from welltuned.run import forget_state, trial
from welltuned.search.proposals import Proposals, Values, proposals
from welltuned.search.pruning import Pruner
from welltuned.search.space import Space, told
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.subject import HopelessError, always
from welltuned.workbench import Workbench


@dataclass(frozen=True)
class Search:
    """What to search: one method on one model, over a space of its fields and of training options.

    Attributes:
        base: what all trials have in common.
        space: what varies.
        sampler: "grid", "random" or "tpe"; None for a grid where the space allows it.
        trials: how many at most; None for all of a grid.
        seconds: no trial begins once those before it took so many seconds of training; None for no such bound.
        sampler_seed: of the sampler.
        seeds: each trial is trained once with each.
        pruner: the rule by which trials that fall behind are given up; None for none. A grid is then tried in an order
            mixed by ``sampler_seed``, every trial with its first seed before any goes on with the others.
    """

    data: DataSpec
    model: ModelSpec
    base: Candidate
    space: Space
    sampler: str | None = None
    trials: int | None = None
    seconds: float | None = None
    sampler_seed: int = 0
    seeds: Sequence[int] = (0,)
    compute: ComputeSpec = field(default_factory=ComputeSpec)
    pruner: str | None = None

    def candidate(self, values: Mapping[str, Any]) -> Candidate:
        """The candidate with these values."""
        return varied(self.base, values)

    def runs(self, values: Mapping[str, Any]) -> list[RunSpec]:
        """One spec a seed."""
        one = self.candidate(values)
        return [one.run(self.data, self.model, seed, self.compute) for seed in self.seeds]

    @property
    def id(self) -> str:
        """Identity of the whole."""
        common = [spec.id for spec in self.runs({})]
        varied = {name: told(part) for name, part in self.space.items()}
        words = json.dumps([common, varied, self.sampler, self.trials, self.seconds, self.sampler_seed, self.pruner])
        return hashlib.sha256(words.encode()).hexdigest()[:12]

    def proposals(self) -> tuple[str, Proposals]:
        """The sampler by name, and its suggestions; each value of the space is tried on a candidate before.

        Raises:
            UsageError: nothing varies, a value that the method refuses, two that are the same, or no such pruner.
        """
        Pruner(self.pruner)
        if not self.space:
            raise UsageError("there is nothing to vary", where="--grid", mend="write --grid lr=1e-4,5e-4,1e-3")
        for name, part in self.space.items():
            values = part.values if isinstance(part, Choice) else (_end(part, part.low), _end(part, part.high))
            made = [self.runs({name: value})[0].id for value in values]
            if len(set(made)) < len(made):
                raise UsageError(f"two values of {name} are the same", where="--grid", mend="name each value once")
        return proposals(self.space, self.sampler, self.trials, self.sampler_seed, mixed=self.pruner is not None)


def _end(part: Range, value: float) -> float:
    return int(value) if part.whole else value


class Trials:
    """The trials of a search as they are done; only the best so far keeps its trained tensors.

    Args:
        plan: what is searched.
        folder: gets one folder a run.
        bench: what they share.

    Attributes:
        done: in their order.
        asked: the values of each as they were proposed.
    """

    def __init__(self, plan: Search, folder: Path, bench: Workbench) -> None:
        self._plan, self._folder, self._bench = plan, folder, bench
        self.done: list[SearchTrial] = []
        self.asked: list[Values] = []
        self._records: list[list[RunRecord]] = []
        self._error: WelltunedError | None = None
        self._pruner = Pruner(plan.pruner)

    def folder(self, spec: RunSpec) -> Path:
        """Of one run."""
        return self._folder / spec.name

    @property
    def whole(self) -> list[SearchTrial]:
        """Those that came to their end."""
        return [one for one in self.done if one.is_whole]

    @property
    def best(self) -> SearchTrial:
        """The highest mean dev accuracy; of equals the lower dev loss, then the earlier.

        Raises:
            WelltunedError: no trial came to its end; the last failure is told.
        """
        whole = self.whole
        if not whole:
            assert self._error is not None
            raise self._error
        return max(whole, key=_standing)

    @property
    def budget(self) -> Budget:
        """What all trials took, and what fewer of the finished ones would have found."""
        return judging.budget([one.dev or 0.0 for one in self.whole], sum(one.seconds for one in self.done))

    @property
    def _spent(self) -> float:
        """Seconds of work, what was shared counted once."""
        return sum(one.seconds - one.shared for one in self.done)

    def work(self, proposed: Proposals) -> None:
        """Do what is proposed until nothing is left."""
        at_first = 1 if self._plan.pruner is not None else len(self._plan.seeds)
        coming = [spec for values in proposed.coming for spec in self._plan.runs(values)[:at_first]]
        self._bench.stages.expect(coming)
        if self._plan.pruner is None and self._plan.seconds is None:  # else it is not certain that all are wanted
            train_together(coming, self._folder, self._bench)
        self._begin(proposed, at_first)
        if at_first < len(self._plan.seeds):
            self._go_on(at_first)
        if any(one.dev is not None for one in self.done):  # what has failed would fail again from there
            forget_checkpoints(self._folder)
            for name in (name for one in self.done for name in one.runs):
                forget_checkpoints(self._folder / name)

    def _begin(self, proposed: Proposals, seeds: int) -> None:
        """Every trial with so many seeds."""
        started, total = time.perf_counter(), proposed.total
        kept = self._pruner.best_of(total) if seeds < len(self._plan.seeds) else 1
        while (values := proposed.ask()) is not None:
            self.asked.append(values)
            self._try(values, seeds)
            proposed.tell(self.done[-1].dev)
            self._forget_all_but(kept)
            if self._plan.seconds is not None and self._spent >= self._plan.seconds:
                break
            gone = time.perf_counter() - started
            self._bench.observer.part(len(self.done), total, gone / len(self.done) * (total - len(self.done)))

    def _go_on(self, begun: int) -> None:
        """The best with the seeds that are left; the others are given up as they are."""
        chosen = self._best(self._pruner.best_of(len(self.done)))
        for one in self.whole:
            if one not in chosen:
                one.given_up = len(self._records[one.number][0].curve)
        rest = {one.number: self._plan.runs(self.asked[one.number])[begun:] for one in chosen}
        self._bench.stages.expect([spec for specs in rest.values() for spec in specs])
        for one in sorted(chosen, key=lambda one: one.number):
            self._bench.observer.say(f"trial {one.number + 1} is among the best with its first seed; now the others")
            self._train(one, rest[one.number])
        self._forget_all_but(1)

    def _try(self, values: Values, seeds: int) -> None:
        one, specs = self._plan.candidate(values), self._plan.runs(values)
        resolved = {**one.method.config, **one.train.model_dump()}
        shown, number = {name: resolved[name] for name in values}, len(self.done)
        self._bench.observer.say(f"trial {number + 1}: {', '.join(f'{name}={value}' for name, value in shown.items())}")
        self.done.append(SearchTrial(number=number, values=shown, runs=[spec.name for spec in specs]))
        self._records.append([])
        self._train(self.done[-1], specs[:seeds])

    def _train(self, one: SearchTrial, specs: Sequence[RunSpec]) -> None:
        """Train a trial with these seeds too; the rule judges the first of all."""
        records = self._records[one.number]
        try:
            for spec in specs:
                go_on = always if records else self._pruner.go_on
                records.append(trial(spec, self.folder(spec), self._bench, go_on))
                if len(records) == 1:
                    self._pruner.ended(records[0].curve, whole=True)
        except HopelessError as hopeless:
            self._give_up(one, hopeless.curve)
        except (ResourceError, DivergedError) as error:
            if (error.where or "").startswith(str(self._folder)):  # the disk failed, not the trial
                raise
            self._error, one.failure, one.dev, one.dev_by_seed = error, error.what, None, []
            if not records:
                self._pruner.ended([], whole=False)
            self._bench.observer.say(f"trial {one.number + 1} failed: {error.what}")
        else:
            _tell(one, records)

    def _give_up(self, one: SearchTrial, curve: Sequence[EpochRow]) -> None:
        self._pruner.ended(curve, whole=False)
        best = max(curve, key=lambda row: row.dev_accuracy)
        one.given_up, one.dev, one.dev_loss = len(curve), best.dev_accuracy, best.dev_loss
        one.best_epochs, one.seconds = [best.epoch], sum(row.seconds for row in curve)
        self._bench.observer.say(
            f"trial {one.number + 1}: given up after epoch {len(curve)}, dev {best.dev_accuracy:.1%}"
        )

    def _best(self, count: int) -> list[SearchTrial]:
        return sorted(self.whole, key=_standing, reverse=True)[:count]

    def _forget_all_but(self, count: int) -> None:
        """Drop the trained tensors of trials that are not among so many best."""
        kept = self._best(count)
        for one in self.done if kept else []:
            for name in one.runs if one not in kept else []:
                forget_state(self._folder / name)


def _standing(one: SearchTrial) -> tuple[float, float, int]:
    return one.dev or 0.0, -(one.dev_loss or math.inf), -one.number


def _tell(one: SearchTrial, records: Sequence[RunRecord]) -> None:
    """Let a trial say what its runs have found."""
    best = [record.curve[record.best_epoch - 1] for record in records]
    one.dev_by_seed = [row.dev_accuracy for row in best]
    one.dev = float(np.mean(one.dev_by_seed))
    one.dev_loss = float(np.mean([row.dev_loss for row in best]))
    one.best_epochs = [row.epoch for row in best]
    one.seconds = sum(record.timings["train"] + record.timings["dev"] for record in records)
    one.shared = sum(record.timings.get("shared", 0.0) for record in records)
    one.alarms = list({alarm.kind: alarm for record in records for alarm in record.alarms}.values())

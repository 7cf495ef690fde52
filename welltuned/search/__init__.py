"""A space of hyperparameters -> trials -> the one chosen on dev, and then, once, its test score.

Nothing but dev scores reaches the choice: trials do not even answer the test rows. Seeds are replicates; a trial is
scored by its mean over them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from welltuned import alarms, baselines, card, stats, vault
from welltuned.alarms import Rows
from welltuned.data.dataset import Dataset, Labels
from welltuned.engine import resolve
from welltuned.errors import DataError, UsageError
from welltuned.provenance import provenance
from welltuned.record import (
    RunRecord,
    Score,
    SearchRecord,
    SearchTrial,
    read_arrays,
    read_record,
    results_kind,
    write_arrays,
    write_json,
)
from welltuned.run import complete
from welltuned.search.advice import edges, verdict
from welltuned.search.space import space, told
from welltuned.search.trials import Search, Trials
from welltuned.workbench import Workbench

__all__ = ["Search", "Trials", "search", "space"]

LEVEL = 0.95


def search(plan: Search, folder: Path, bench: Workbench, command: str) -> SearchRecord:
    """Try, choose on dev, then open the test labels once for the chosen trial.

    A trial that diverges or does not fit stands in the table as failed.

    Args:
        folder: gets ``trials/``, ``results.json`` and ``labels.safetensors``.
        command: what the user typed, for the record.

    Raises:
        WelltunedError: the space, data or model cannot be used, or no trial came to its end.
    """
    with bench.alone(folder):
        return _searched(plan, folder, bench, command)


def _searched(plan: Search, folder: Path, bench: Workbench, command: str) -> SearchRecord:
    if (folder / "record.json").is_file() or (folder / "runs").is_dir():
        raise UsageError("this folder holds other results", where=f"--out {folder}", mend="choose another --out folder")
    sampler, proposed = plan.proposals()
    dataset = bench.dataset(plan.data)
    finished = _finished(plan, folder, dataset.hash, bench.model(plan.model).weights_hash)
    if finished is not None:
        bench.observer.say("this search is finished; its results are read, nothing is trained again")
        return finished
    leaks = bench.tell(alarms.raised(Rows(dataset)))
    bench.observer.say(f"searching {', '.join(f'{name}: {told(part)}' for name, part in plan.space.items())}")
    trials = Trials(plan, folder / "trials", bench)
    trials.work(proposed)
    chosen = trials.best
    records = [complete(spec, trials.folder(spec), bench) for spec in plan.runs(trials.asked[chosen.number])]
    result = SearchRecord(
        id=plan.id,
        command=command,
        data=dataset.name,
        data_hash=dataset.hash,
        model=plan.model.name,
        method=plan.base.name,
        sampler=sampler,
        space={name: told(part) for name, part in plan.space.items()},
        seeds=list(plan.seeds),
        rows={"train": len(dataset.train), "dev": len(dataset.dev), "test": len(dataset.test)},
        trials=trials.done,
        chosen=chosen.number,
        **_scored(dataset, folder, records, f"search: score of trial {chosen.number + 1}"),
        near=_near(trials.done, chosen, len(dataset.dev)),
        best_after=trials.budget.best_after if sampler == "random" else [],
        verdict="",
        budget=_budget(trials.done, plan),
        alarms=[*leaks, *chosen.alarms],
        advice=edges(plan.space, chosen, trials.done),
        notes=list(dataset.notes),
        provenance=provenance(resolve(plan.compute), dataset, bench.model(plan.model).weights_hash),
    )
    result.verdict = verdict(result)
    card.write_all(folder, result)
    write_json(folder / "results.json", result)
    return result


def _budget(trials: Sequence[SearchTrial], plan: Search) -> str:
    found = f"{len(trials)} trials, {len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''} each"
    if shared := sum(one.shared for one in trials):
        found += (
            f"; {shared:.0f} of their {sum(one.seconds for one in trials):.0f} seconds were trained once for several"
        )
    if given_up := sum(one.given_up is not None for one in trials):
        found += f"; {given_up} given up on the way ({plan.pruner})"
    return found


def _finished(plan: Search, folder: Path, data_hash: str, weights_hash: str) -> SearchRecord | None:
    if results_kind(folder) != "search":
        return None
    try:
        found = read_record(folder / "results.json", SearchRecord)
    except DataError:
        return None
    same = (found.id, found.data_hash, found.provenance.weights_hash) == (plan.id, data_hash, weights_hash)
    kept = [folder / "trials" / name for one in found.trials if one.given_up is None for name in one.runs]
    whole = all((one / "record.json").is_file() for one in kept)
    return found if same and whole else None


def _scored(dataset: Dataset, folder: Path, records: Sequence[RunRecord], purpose: str) -> dict[str, Any]:
    """Open the test labels for these runs; the record's fields that follow from it."""
    selection = hashlib.sha256(" ".join(record.id for record in records).encode()).hexdigest()[:12]
    test, dev = vault.open_test(dataset, folder, selection, purpose), dataset.dev.label
    assert dev is not None
    write_arrays(folder / "labels.safetensors", {"test.labels": test})
    seen, most = vault.looks(folder, vault.identity(dataset.test)), baselines.majority(dataset)
    return {
        "dev": _score(folder, records, "dev", dev),
        "test": _score(folder, records, "test", test),
        "majority": {
            "dev": float((most.dev.argmax(axis=1) == dev).mean()),
            "test": float((most.test.argmax(axis=1) == test).mean()),
        },
        "test_openings": len(seen),
        "openings": seen,
        "test_hash": vault.identity(dataset.test),
    }


def _score(folder: Path, records: Sequence[RunRecord], split: str, labels: Labels) -> Score:
    stored = [read_arrays(folder / "trials" / record.name / "predictions.safetensors") for record in records]
    correct = np.stack([arrays[f"{split}.logits"].argmax(axis=1) == labels for arrays in stored])
    summary = stats.accuracy_summary(correct, LEVEL)
    return Score(accuracy=summary.mean, low=summary.interval.lower, high=summary.interval.upper, level=LEVEL)


def _near(trials: Sequence[SearchTrial], chosen: SearchTrial, rows: int) -> list[int]:
    """Other trials within one standard error, sqrt(p (1 - p) / n), of the chosen one's dev accuracy.

    Those that were given up after their first seed are among them.
    """
    best = chosen.dev or 0.0
    error = math.sqrt(best * (1 - best) / rows)
    others = (one for one in trials if one.number != chosen.number and one.dev_by_seed)
    return [one.number for one in others if best - (one.dev or 0.0) <= error]

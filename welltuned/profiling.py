"""The memory of a training step for each method: predicted, measured, and set side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from welltuned import methods
from welltuned.engine import resolve
from welltuned.memory import footprint, longest_batch, measure_step, out_of_memory_told
from welltuned.optimizer import adamw
from welltuned.plan import Candidate
from welltuned.provenance import provenance
from welltuned.record import MemoryRecord, MemoryRow, write_json
from welltuned.spec import RunSpec
from welltuned.subject import assembled
from welltuned.workbench import Workbench


def profile(
    plans: Sequence[tuple[Candidate, RunSpec]], folder: Path, bench: Workbench, command: str, *, measure: bool
) -> MemoryRecord:
    """Account for the memory of one training step on the longest training rows of the data.

    Args:
        plans: a candidate and its run for each line of the table.
        folder: gets ``results.json``.
        command: what the user typed, for the record.
        measure: also run the step; without it nothing of the model's size is allocated.
    """
    rows = []
    for candidate, spec in plans:
        bench.observer.say(f"{candidate.name}: playing a step through" + (", then running it" if measure else ""))
        rows.append(_row(candidate.name, spec, bench, measure))
    first = plans[0][1]
    record = MemoryRecord(
        command=command,
        data=bench.dataset(first.data).name,
        rows=rows,
        provenance=provenance(resolve(first.compute), bench.dataset(first.data), bench.model(first.model).weights_hash),
    )
    write_json(folder / "results.json", record)
    return record


def _row(name: str, spec: RunSpec, bench: Workbench, measure: bool) -> MemoryRow:
    dataset, origin, compute = bench.dataset(spec.data), bench.model(spec.model), resolve(spec.compute)
    split = bench.tokens(spec.data, spec.model)["train"]
    classes = len(dataset.labels)
    batch = longest_batch(split, spec.train.batch_size)
    played = footprint(origin.config, spec.model.head, classes, spec.method, compute, evaluated=False)
    measured = None
    if measure:
        encoder = assembled(spec, methods.build(spec.method), origin, classes, compute)
        with out_of_memory_told(f"{name} with batches of {spec.train.batch_size}"):
            measured = measure_step(encoder, batch, compute, adamw(encoder, spec.train, compute))
    return MemoryRow(
        name=name,
        method=spec.method.name,
        model=spec.model.name,
        config=spec.method.config,
        predicted=played.step(len(batch), int(np.asarray(batch.mask.shape)[1])),
        measured=measured,
        formula=played.formula(),
    )

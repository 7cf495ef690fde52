"""The largest batch that fits: predicted in closed form, then found by real steps in processes of their own.

What counts is the peak of the whole process, interpreter and libraries included, since that is what the system gives
or refuses; on a CUDA device it is what the allocator reserves there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from welltuned.capacity.bisection import Trial, largest
from welltuned.capacity.isolated import tried
from welltuned.capacity.probe import Request
from welltuned.engine import Compute, resolve
from welltuned.memory import Footprint, available, footprint, longest_batch
from welltuned.plan import Candidate
from welltuned.provenance import provenance
from welltuned.record import CapacityPart, CapacityRecord, CapacityRow, TrialRow, write_json
from welltuned.spec import RunSpec
from welltuned.workbench import Workbench


@dataclass(frozen=True)
class Limit:
    """The bytes a process may take: as asked for, or what is available now, less a share kept free."""

    bytes: int
    told: str

    @classmethod
    def of(cls, asked: int | None, headroom: float, compute: Compute) -> Limit:
        """From ``--memory-limit``, or from the device; ``headroom`` is the share of it that is left free."""
        whole = asked if asked is not None else available(compute.device)
        source = "the memory limit" if asked is not None else f"the memory available on this {compute.device.type}"
        return cls(int(whole * (1 - headroom)), f"{source} less {headroom:.0%}")


def capacity(
    plans: Sequence[tuple[Candidate, RunSpec]], folder: Path, bench: Workbench, command: str, limit: Limit
) -> CapacityRecord:
    """Find the largest batch of each plan, for training and for evaluation.

    No batch larger than the split is tried.

    Args:
        plans: a candidate and its run for each line of the table.
        folder: gets ``results.json``.
        command: what the user typed, for the record.
        limit: of the process.
    """
    first = plans[0][1]
    record = CapacityRecord(
        command=command,
        data=bench.dataset(first.data).name,
        limit=limit.bytes,
        limit_told=limit.told,
        rows=[_row(candidate.name, spec, bench, limit) for candidate, spec in plans],
        provenance=provenance(resolve(first.compute), bench.dataset(first.data), bench.model(first.model).weights_hash),
    )
    write_json(folder / "results.json", record)
    return record


@dataclass(frozen=True)
class _Demand:
    """Bytes of tensors in closed form, of training or of evaluation, on rows of T tokens."""

    played: Footprint
    tokens: int
    train: bool

    def of(self, rows: int) -> int:
        return self.played.step(rows, self.tokens).peak if self.train else self.played.evaluating(rows, self.tokens)

    def most(self, limit: int) -> int:
        return self.played.largest(limit, self.tokens, train=self.train)


def _row(name: str, spec: RunSpec, bench: Workbench, limit: Limit) -> CapacityRow:
    dataset, origin, compute = bench.dataset(spec.data), bench.model(spec.model), resolve(spec.compute)
    splits = bench.tokens(spec.data, spec.model)
    classes = len(dataset.labels)
    bench.observer.say(f"{name}: playing a step through")
    played = footprint(origin.config, spec.model.head, classes, spec.method, compute)
    parts = {}
    for part, held in (("train", ["train"]), ("evaluation", ["dev", "test"])):
        tokens = max(int(longest_batch(splits[split], 1).mask.shape[1]) for split in held)
        demand = _Demand(played, tokens, part == "train")
        request = Request(spec=spec, classes=classes, rows=1, tokens=tokens, train=demand.train, limit=limit.bytes)
        rows = max(len(splits[split]) for split in held)
        parts[part] = _part(request, demand, rows, partial(_say, bench, f"{name}, {part}"))
    return CapacityRow(
        name=name,
        method=spec.method.name,
        model=spec.model.name,
        config=spec.method.config,
        precision=compute.precision,
        **parts,
    )


def _part(request: Request, demand: _Demand, rows: int, say: Callable[[str], None]) -> CapacityPart:
    """Training or evaluation of one plan, on at most so many rows."""
    predicted = overhead = 0

    def guessed(single: Trial) -> int:
        nonlocal predicted, overhead
        overhead = (single.peak or 0) - demand.of(1)
        most = demand.most(request.limit - overhead)
        predicted = min(rows, most)
        say(f"{predicted:,} rows are predicted to fit")
        return most

    def run(count: int) -> Trial:
        trial = tried(request.model_copy(update={"rows": count}))
        say(_said(trial))
        return trial

    trials = largest(run, guessed, request.limit, rows)
    return CapacityPart(
        tokens=request.tokens,
        rows=rows,
        overhead=overhead,
        predicted=predicted,
        largest=max((trial.rows for trial in trials if trial.fits), default=0),
        trials=[TrialRow(**asdict(trial), predicted=demand.of(trial.rows)) for trial in trials],
    )


def _say(bench: Workbench, what: str, text: str) -> None:
    bench.observer.say(f"{what}: {text}")


def _said(trial: Trial) -> str:
    rows = "1 row" if trial.rows == 1 else f"{trial.rows:,} rows"
    size = "stopped on its way" if trial.peak is None else f"{trial.peak / 2**20:,.0f} MiB"
    return f"{rows} {'fit' if trial.fits else 'do not fit'}: {size}, {trial.seconds:.0f} s"

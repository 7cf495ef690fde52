"""RunSpec -> artifact + RunRecord: the only place where the parts meet.

A training goes on from the newest checkpoint that it left in its folder; once the record is there, none is left. A
whole run trains, answers the test rows and writes the model. A search wants only the first of these from most of its
trials: :func:`trial` trains and keeps scores and trained tensors, :func:`complete` makes a whole run of it later.
"""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from welltuned.opening import MANIFEST
from welltuned.record import (
    RunRecord,
    read_arrays,
    require_replaceable,
    require_writable,
    write_bytes,
    write_json,
)
from welltuned.spec import RunSpec
from welltuned.subject import MODEL, GoOn, HopelessError, Subject, always, arrived, begin
from welltuned.workbench import Workbench

STATE = "state.safetensors"
"""The trained tensors of a trial, until it is completed or beaten."""


def run(spec: RunSpec, folder: Path, bench: Workbench) -> RunRecord:
    """Train as the spec says and leave a whole run folder: record, answers to dev and test, model.

    A finished run of the same spec, on the same data and weights, is read instead. A run that overfits a few rows
    does not look at the test rows.

    Raises:
        WelltunedError: of the kind that fits what went wrong; the folder then holds no record of this run.
    """
    subject = Subject(spec, bench)
    finished = subject.finished(folder, MODEL)
    if finished is not None:
        bench.observer.say(f"{spec.name}: finished before, its record is read")
        arrived(folder)
        return finished
    model = (folder / MODEL).parent
    require_replaceable(model, (model / MANIFEST).is_file() or (folder / "record.json").is_file())
    require_writable(folder)
    bench.require_room([spec], folder)
    record = subject.leave_whole(folder, *subject.train(folder))
    arrived(folder)
    return record


def trial(spec: RunSpec, folder: Path, bench: Workbench, go_on: GoOn = always) -> RunRecord:
    """Train as the spec says, and keep the record, the answers to dev and the trained tensors.

    A finished trial or run of the same spec, on the same data and weights, is read instead.

    Args:
        go_on: asked after each epoch.

    Raises:
        HopelessError: ``go_on`` said no, now or when this trial was tried before.
        WelltunedError: as in :func:`run`.
    """
    subject = Subject(spec, bench)
    finished = subject.finished(folder)
    if finished is not None:
        bench.observer.say(f"{spec.name}: finished before, its record is read")
        arrived(folder)
        return finished
    require_writable(folder)
    bench.require_room([spec], folder)
    subject.require_hope(folder, go_on)
    try:
        predictions, record = subject.train(folder, go_on)
    except HopelessError as found:
        subject.give_up(folder, found.curve)
        raise
    begin(folder, spec, predictions)
    write_bytes(folder / STATE, save(subject.method.state(subject.encoder)))
    write_json(folder / "record.json", record)
    arrived(folder)
    return record


def complete(spec: RunSpec, folder: Path, bench: Workbench) -> RunRecord:
    """Make a whole run of a finished trial: answer the test rows, write the model.

    Where the trained tensors are gone, they are trained again.
    """
    subject = Subject(spec, bench)
    record, state = subject.finished(folder), _state(folder)
    if record is None or state is None or subject.finished(folder, MODEL) is not None:
        return run(spec, folder, bench)
    subject.method.load_state(subject.encoder, state)
    whole = subject.leave_whole(folder, read_arrays(folder / "predictions.safetensors"), record)
    forget_state(folder)
    return whole


def _state(folder: Path) -> dict[str, Tensor] | None:
    try:
        return load_file(folder / STATE)
    except (OSError, SafetensorError):
        return None


def forget_state(folder: Path) -> None:
    """Drop the trained tensors of a trial that is not chosen, or is a whole run now."""
    (folder / STATE).unlink(missing_ok=True)

"""Runs to come -> trainings that are taken to their ends together, where that is faster than one after the other."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from welltuned.checkpoints import CHECKPOINTS, Identity, Store, carry_through
from welltuned.encoders import Encoder
from welltuned.engine import resolve
from welltuned.errors import DivergedError, ResourceError
from welltuned.progress import Observer
from welltuned.record import require_writable
from welltuned.spec import RunSpec
from welltuned.stages import shares_its_beginning
from welltuned.subject import Subject
from welltuned.together import Abreast, Company, Heads, can_go_abreast, share_frozen
from welltuned.train import Training
from welltuned.workbench import Workbench

WORTH = 100
"""Steps of a run from which on sharing them saves more than a second encoder costs."""
SMALL = 12
"""Runs share their passes where a batch has at most one such part of the tokens that go through together."""


def train_together(specs: Sequence[RunSpec], folder: Path, bench: Workbench) -> None:
    """Train at once what can be: linear heads on the same constant features, small methods on short batches.

    Each of these runs then finds its training done. What can not be trained so, or fails, is left to the runs.

    Args:
        specs: of runs to come; those that are finished, stand alone or have few steps are passed over.
        folder: has or gets their folders; holds the checkpoints meanwhile.

    Raises:
        StoppedError: by a signal; where the trainings stand is on disk.
    """
    alike: dict[str, list[RunSpec]] = {}
    for spec in specs:
        if resolve(spec.compute).engine == "fast" and spec.train.overfit is None:
            alike.setdefault(_in_common(spec), []).append(spec)
    for group in alike.values():
        per_epoch = math.ceil(len(bench.dataset(group[0].data).train) / group[0].train.batch_size)
        if len(group) > 1 and per_epoch * sum(one.train.epochs for one in group) >= WORTH * len(group):
            with suppress(ResourceError, DivergedError):
                _train_together(group, per_epoch, folder, bench)


def _in_common(spec: RunSpec) -> str:
    """What decides about the rows of a batch and about everything that is frozen."""
    train = {"batch_size": spec.train.batch_size, "eval_batch_size": spec.train.eval_batch_size}
    return json.dumps([train, *(part.id for part in (spec.data, spec.model, spec.method, spec.compute))])


def _train_together(specs: Sequence[RunSpec], per_epoch: int, folder: Path, bench: Workbench) -> None:
    subjects = [Subject(spec, bench) for spec in specs]
    subjects = [one for one in subjects if one.finished(folder / one.spec.name) is None]
    if not subjects:
        return
    first, store = subjects[0], _store(specs, subjects[0], folder, bench)
    least = 1 if store.has_any else 2  # of a company that was under way even the last one goes on from there
    company, share = (Heads, _share_backbone) if _have_features(first) else (Abreast, share_frozen)
    if company is Abreast:
        if not (_has_short_batches(first) and can_go_abreast(first.encoder)):
            return
        subjects = [one for one in subjects if not shares_its_beginning(one.spec, specs, per_epoch)]
    if len(subjects) >= least:
        _carry(company(_begun(subjects, share), bench.observer), subjects, store, folder, bench)


def _store(specs: Sequence[RunSpec], subject: Subject, folder: Path, bench: Workbench) -> Store:
    """Where their trainings stand; those that are finished count too, so that it is found again without them."""
    ids = hashlib.sha256(" ".join(one.id for one in specs).encode()).hexdigest()
    identity = Identity(ids, subject.dataset.hash, subject.origin.weights_hash)
    return Store(folder / CHECKPOINTS, identity, bench.saving.limit, bench.observer.say)


def _have_features(subject: Subject) -> bool:
    """Whether a linear head is all that trains, so that what it reads is computed once."""
    shape = subject.origin.shape
    return subject.spec.model.head != "native" and subject.method.frontier(shape) >= shape.layers


def _has_short_batches(subject: Subject) -> bool:
    """Whether a training batch has few of the tokens that go through together."""
    own = subject.rows()["train"].lengths.mean() + subject.method.positions()
    return bool(own * subject.spec.train.batch_size * SMALL <= subject.compute.tokens_together)


def _begun(subjects: Sequence[Subject], share: Callable[[Encoder, Encoder], None]) -> list[Training]:
    """Their trainings; each encoder shares with the first what is the same in both."""
    found = []
    for one in subjects:
        share(one.encoder, subjects[0].encoder)
        rows, silent = one.features(), Observer()
        train, dev = rows["train"], rows["dev"]
        found.append(Training(one.encoder, one.method, train, dev, one.spec.train, one.compute, silent))
    return found


def _share_backbone(encoder: Encoder, other: Encoder) -> None:
    encoder.backbone = other.backbone  # nothing but their heads is their own


def _carry(company: Company, subjects: Sequence[Subject], store: Store, folder: Path, bench: Workbench) -> None:
    """To the end of all; each training is then kept until its run asks for it, here or after a kill."""
    first = subjects[0]
    require_writable(folder)
    with bench.guard(first.compute).watching(first.encoder, first.encoder.blocks):
        carry_through(company, store, bench.saving, bench.observer.say)
    store.write(company.snapshot(copied=False))
    for at, (one, training) in enumerate(zip(subjects, company.trainings, strict=True)):
        if at not in company.diverged:
            bench.stages.bring(one.spec, training.snapshot())

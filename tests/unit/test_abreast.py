"""Runs that share passes through a frozen encoder come out as each does alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from companies import require_alike, require_as_alone, trials
from families import write_examples

from welltuned import engine, gathering, methods
from welltuned.checkpoints import Identity, Saving, Store, carry_through
from welltuned.errors import DivergedError
from welltuned.methods._base import Choice
from welltuned.plan import candidate
from welltuned.progress import Observer
from welltuned.run import trial
from welltuned.search import Search, search
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.stopping import StoppedError
from welltuned.subject import Subject
from welltuned.together import Abreast, can_go_abreast, share_frozen
from welltuned.train import Training
from welltuned.workbench import Workbench

ROWS, BATCH = 40, 8
Make = Callable[..., RunSpec]
OWN: list[dict[str, Any]] = [
    {"lr": 1e-3, "epochs": 20},
    {"lr": 3e-3, "epochs": 12, "schedule": "constant", "seed": 1},
    {"lr": 1e-3, "epochs": 20, "weight_decay": 0.3, "warmup_ratio": 0.5, "seed": 2},
    {"lr": 3e-3, "epochs": 20, "max_grad_norm": 0.1, "schedule": "cosine"},
    {"lr": 1e-3, "epochs": 20, "max_grad_norm": 0, "patience": 2},
]
"""Trials that differ in all that may differ; a hundred steps."""
WAYS: list[dict[str, Any]] = [
    {"method": "lora:rank=2"},
    {"method": "lora:rank=2:layers=1"},
    {"method": "lora:rank=2:dropout=0.2:targets=query+up+down", "head": "native"},
    {"method": "prefix:length=4"},
    {"method": "lora:rank=2", "family": "distilbert"},
    {"method": "lora:rank=2", "family": "modernbert", "head": "first"},
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    folder = write_examples(tmp_path_factory.mktemp("rows"), {"train": ROWS - 3, "dev": 16, "test": 12})
    return DataSpec(source=str(folder))


@pytest.fixture(scope="module")
def make(data: DataSpec, model_folder: Callable[[str], Path]) -> Make:
    def made(
        seed: int = 0,
        method: str = "lora:rank=2",
        head: str = "mean",
        family: str = "bert",
        engine: str = "fast",
        precision: str = "fp32",
        **options: Any,
    ) -> RunSpec:
        one = candidate(method, {"batch_size": BATCH, "epochs": 3, "lr": 1e-3, **options})
        model = ModelSpec(name=str(model_folder(family)), max_length=40, head=head)
        return one.run(data, model, seed, ComputeSpec(device="cpu", precision=precision, engine=engine))

    return made


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WORTH", 0)


def begun(specs: list[RunSpec]) -> list[Training]:
    """Trainings with encoders of their own."""
    bench, found = Workbench(), []
    for spec in specs:
        subject = Subject(spec, bench)
        rows, method = subject.features(), methods.build(spec.method)
        found.append(
            Training(subject.encoder, method, rows["train"], rows["dev"], spec.train, subject.compute, Observer())
        )
    return found


def abreast(trainings: list[Training]) -> Abreast:
    for one in trainings:
        share_frozen(one.encoder, trainings[0].encoder)
    return Abreast(trainings, Observer())


def require_equal(one: Training, other: Training) -> None:
    without_times = [[row.model_copy(update={"seconds": 0.0}) for row in each.curve] for each in (one, other)]
    assert without_times[0] == without_times[1]
    mine, theirs = one.fit(), other.fit()
    assert np.array_equal(mine.dev_logits, theirs.dev_logits)
    assert all(torch.equal(tensor, theirs.state[name]) for name, tensor in mine.state.items())


def require_drawn_alike(one: Training, other: Training) -> None:
    """What follows draws the same: their random streams have come equally far."""
    mine, theirs = one.snapshot(), other.snapshot()
    assert mine.numbers["random"] == theirs.numbers["random"]
    streams = [name for name in mine.tensors if name.startswith("random.")]
    assert all(torch.equal(mine.tensors[name], theirs.tensors[name]) for name in streams)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_goes_its_way_as_if_alone(way: dict[str, Any], make: Make, passes: list[int]) -> None:
    specs = [make(**way, **own) for own in OWN]
    together = begun(specs)
    abreast(together).run()
    assert passes[0] == len(specs), "all in one pass"
    for one, other in zip(together, begun(specs), strict=True):
        other.run()
        require_alike(one, other)
        require_drawn_alike(one, other)
    assert together[0].steps == 100
    assert together[4].step < 100, "out of patience"


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_on_another_device_too(way: dict[str, Any], make: Make, passes: list[int]) -> None:
    """Where dropout draws from torch's own stream."""
    specs = [make(**way, seed=seed, lr=1e-2) for seed in range(2)]
    together = begun(specs)
    abreast(together).run()
    assert set(passes) == {2}
    for one, other in zip(together, begun(specs), strict=True):
        other.run()
        require_alike(one, other)
        require_drawn_alike(one, other)


def test_in_bf16_too(make: Make) -> None:
    specs = [make(seed=seed, precision="bf16", head="native") for seed in range(3)]
    together = begun(specs)
    abreast(together).run()
    for one, other in zip(together, begun(specs), strict=True):
        other.run()
        for row, expected in zip(one.curve, other.curve, strict=True):
            assert row.train_loss == pytest.approx(expected.train_loss, abs=5e-3)


def test_frozen_tensors_are_in_memory_once(make: Make) -> None:
    one, other = (training.encoder for training in begun([make(), make(seed=1)]))
    own = {name: value.clone() for name, value in other.named_parameters()}
    share_frozen(other, one)
    shared = dict(one.named_parameters())
    for name, value in other.named_parameters():
        assert torch.equal(value, own[name])
        assert (value.data_ptr() == shared[name].data_ptr()) == (not value.requires_grad), name


def test_one_that_diverges_is_left_out_and_the_others_go_on(make: Make) -> None:
    specs = [make(lr=1e-3), make(lr=1e30, warmup_ratio=0, weight_decay=0), make(lr=1e-3, seed=1)]
    members = begun(specs)
    group = abreast(members)
    group.run()
    assert group.diverged == {1}
    alone = begun(specs)
    for at in (0, 2):
        alone[at].run()
        require_alike(members[at], alone[at])
    with pytest.raises(DivergedError):
        alone[1].run()


def test_the_first_may_diverge_too(make: Make) -> None:
    specs = [make(lr=1e30, warmup_ratio=0, weight_decay=0), make(lr=1e-3), make(lr=1e-3, seed=1)]
    members = begun(specs)
    group = abreast(members)
    group.run()
    assert group.diverged == {0}
    alone = begun(specs)
    for at in (1, 2):
        alone[at].run()
        require_alike(members[at], alone[at])


@pytest.mark.parametrize("until", [3, 5, 17])
def test_they_go_on_from_where_they_stood(until: int, make: Make) -> None:
    specs = [make(**own) for own in OWN]
    whole, halves, rest = begun(specs), begun(specs), begun(specs)
    abreast(whole).run()
    half, other = abreast(halves), abreast(rest)
    half.run(until=until)
    other.restore(half.snapshot())
    assert other.step == until
    other.run()
    for one, two in zip(whole, rest, strict=True):
        require_equal(one, two)
    with pytest.raises(KeyError):
        abreast(begun([*specs[:2], make(seed=9)])).restore(half.snapshot())


@pytest.mark.parametrize("until", [4, 17])
def test_they_go_on_from_the_disk(until: int, make: Make, tmp_path: Path) -> None:
    specs = [make(**own) for own in OWN]
    whole, halves, rest = begun(specs), begun(specs), begun(specs)
    abreast(whole).run()
    store = Store(tmp_path, Identity("these", "data", "weights"), 2, lambda _: None)

    def stop() -> None:
        if half.step == until:
            raise StoppedError(2)

    half, other = abreast(halves), abreast(rest)
    with pytest.raises(StoppedError):
        carry_through(half, store, Saving(steps=until), lambda _: None, stop)
    carry_through(other, store, Saving(steps=until), lambda _: None)
    assert other.steps == other.step == 100
    for one, two in zip(whole, rest, strict=True):
        require_equal(one, two)


@pytest.mark.parametrize(("tokens", "sizes"), [(4000, {3}), (500, {3, 2, 1}), (150, {1})])
def test_a_pass_has_no_more_tokens_than_it_takes_well(
    tokens: int, sizes: set[int], make: Make, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    """Down to where a batch alone goes through in pieces, each with dropout of its own."""
    monkeypatch.setattr(engine, "TOKENS_AT_ONCE", tokens)
    specs = [make(seed=seed) for seed in range(3)]
    together = begun(specs)
    abreast(together).run()
    assert set(passes) == sizes
    for one, other in zip(together, begun(specs), strict=True):
        other.run()
        require_alike(one, other)


@pytest.mark.parametrize(("tokens", "before", "after"), [(4000, [4], [2, 2]), (420, [2, 2], [2, 2])])
def test_what_does_not_fit_the_memory_is_done_by_fewer(
    tokens: int, before: list[int], after: list[int], make: Make, monkeypatch: pytest.MonkeyPatch, passes: list[int]
) -> None:
    """The step begins anew, with nothing left of the passes that had fitted."""
    monkeypatch.setattr(engine, "TOKENS_AT_ONCE", tokens)
    specs = [make(seed=seed) for seed in range(4)]
    together = begun(specs)
    group = abreast(together)
    head = together[3].encoder.head
    forward, failed = head.forward, list[int]()

    def failing(*given: Any) -> Any:
        if head.training and group.step == 7 and not failed:
            failed.append(len(passes))
            raise MemoryError("no more")
        return forward(*given)

    monkeypatch.setattr(head, "forward", failing)
    group.run()
    (at,) = failed
    assert (passes[at - len(before) : at], passes[at : at + len(after)]) == (before, after)
    for one, other in zip(together, begun(specs), strict=True):
        other.run()
        require_alike(one, other)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many trainings went through in each pass."""
    found: list[int] = []
    backward = Abreast._backward

    def counted(self: Abreast, places: list[int], rows: Any) -> Any:
        found.append(len(places))
        return backward(self, places, rows)

    monkeypatch.setattr(Abreast, "_backward", counted)
    return found


def test_some_go_on_without_those_that_are_finished(make: Make) -> None:
    specs = [make(**own) for own in OWN]
    whole, rest_of = begun(specs), begun(specs[1::2])
    both, rest = abreast(whole), abreast(rest_of)
    both.run(until=17)
    rest.restore(both.snapshot())
    both.run()
    rest.run()
    for one, other in zip(whole[1::2], rest_of, strict=True):
        require_alike(one, other)


@pytest.mark.parametrize("written", [1, 2])
def test_trainings_that_are_done_outlive_a_kill_before_their_runs(
    written: int, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the last one of them."""
    specs, bench = [make(seed=seed) for seed in range(3)], Workbench()
    gathering.train_together(specs, tmp_path, bench)
    for one in specs[:written]:
        trial(one, tmp_path / one.name, bench)
    monkeypatch.setattr(Training, "_take_step", None)
    monkeypatch.setattr(Abreast, "_take_step", None)
    records = trials(specs, tmp_path)
    assert [len(record.curve) for record in records] == [3] * 3


def test_trials_find_their_training_done(make: Make, tmp_path: Path, steps: list[int]) -> None:
    specs = [make(seed=0), make(seed=1), make(lr=3e-3, epochs=2)]
    records = trials(specs, tmp_path / "together")
    assert steps == []
    require_as_alone(records, tmp_path)
    assert steps


@pytest.mark.parametrize(
    "others",
    [
        {"method": "full"},
        {"engine": "plain"},
        {"overfit": 10},
        {"batch_size": 4},
        {"family": "deberta-v2"},
        {"schedule": "constant", "warmup_ratio": 0},
    ],
    ids=str,
)
def test_others_are_left_to_themselves(others: dict[str, Any], make: Make, tmp_path: Path, steps: list[int]) -> None:
    """What trains everything, the plain engine, a few rows alone, batches of another size, rows that stay padded, and
    runs of which one is the beginning of the other."""
    pair = [make(**others), make(epochs=4, **others) if "schedule" in others else make(seed=1, **others)]
    if "batch_size" in others:
        pair[1] = make()
    trials(pair, tmp_path)
    assert steps


@pytest.mark.parametrize(("method", "positions"), [("lora:rank=2", 0), ("prefix:length=4", 4)])
def test_long_batches_are_left_to_themselves(
    method: str, positions: int, make: Make, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [make(seed=0, method=method), make(seed=1, method=method)]
    lengths = Workbench().tokens(specs[0].data, specs[0].model)["train"].lengths
    tokens = (lengths.mean() + positions) * BATCH
    monkeypatch.setattr(engine, "TOKENS_AT_ONCE", int(tokens * gathering.SMALL) - 1)
    trials(specs, tmp_path / "long")
    assert steps
    steps.clear()
    monkeypatch.setattr(engine, "TOKENS_AT_ONCE", int(tokens * gathering.SMALL) + 1)
    trials(specs, tmp_path / "short")
    assert steps == []


def test_a_small_method_alone_can_go_abreast(make: Make) -> None:
    ways = {"full": False, "lora:rank=2": True, "prefix:length=4": True, "lora:rank=100": False, "head": False}
    found = {way: can_go_abreast(begun([make(method=way)])[0].encoder) for way in ways}
    assert found == ways


def test_a_search_trains_its_runs_together(make: Make, tmp_path: Path, steps: list[int]) -> None:
    spec = make()
    plan = Search(
        spec.data, spec.model, candidate("lora", {"batch_size": BATCH}),
        {"lr": Choice((1e-3, 1e-2)), "rank": Choice((2, 4))}, seeds=(0, 1), compute=spec.compute,
    )  # fmt: skip
    record = search(plan, tmp_path, Workbench(), "welltuned search")
    assert steps == []
    assert len(record.trials) == 4
    assert all(one.shared == 0 for one in record.trials)
    assert not list(tmp_path.rglob("checkpoint"))

"""Heads that are trained together come out as each does alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from companies import require_alike, require_as_alone, trials
from families import write_examples
from torch import nn

from welltuned import gathering, methods
from welltuned.checkpoints import Identity, Saving, Store, carry_through
from welltuned.errors import DivergedError
from welltuned.methods._base import Choice
from welltuned.optimizer import BETAS, EPSILON, Stack
from welltuned.plan import candidate
from welltuned.progress import Observer
from welltuned.run import trial
from welltuned.search import Search, search
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.stopping import StoppedError
from welltuned.subject import Subject
from welltuned.together import Heads
from welltuned.train import Training
from welltuned.workbench import Workbench

ROWS, BATCH = 40, 8
Make = Callable[..., RunSpec]
SPACE = {"lr": Choice((1e-3, 1e-2)), "epochs": Choice((2, 3))}
OWN: list[dict[str, Any]] = [
    {"lr": 1e-2, "epochs": 20},
    {"lr": 3e-2, "epochs": 12, "schedule": "constant", "seed": 1},
    {"lr": 1e-3, "epochs": 20, "weight_decay": 0.3, "warmup_ratio": 0.5, "seed": 2},
    {"lr": 1e-1, "epochs": 20, "max_grad_norm": 0.1, "schedule": "cosine"},
    {"lr": 1e-2, "epochs": 20, "max_grad_norm": 0, "patience": 2},
]
"""Trials that differ in all that may differ; a hundred steps."""


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "WORTH", 0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> DataSpec:
    folder = write_examples(tmp_path_factory.mktemp("rows"), {"train": ROWS - 3, "dev": 16, "test": 12})
    return DataSpec(source=str(folder))


@pytest.fixture(scope="module")
def make(data: DataSpec, model_folder: Callable[[str], Path]) -> Make:
    def made(seed: int = 0, method: str = "head", head: str = "mean", engine: str = "fast", **options: Any) -> RunSpec:
        one = candidate(method, {"batch_size": BATCH, "epochs": 3, "lr": 1e-2, **options})
        model = ModelSpec(name=str(model_folder("bert")), max_length=40, head=head)
        return one.run(data, model, seed, ComputeSpec(device="cpu", precision="fp32", engine=engine))

    return made


def begun(specs: list[RunSpec]) -> list[Training]:
    """Trainings on features that were computed once."""
    bench, found = Workbench(), []
    for spec in specs:
        subject = Subject(spec, bench)
        rows = subject.features()
        assert rows["train"].features is not None
        method = methods.build(spec.method)
        found.append(
            Training(subject.encoder, method, rows["train"], rows["dev"], spec.train, subject.compute, Observer())
        )
    return found


@pytest.mark.parametrize("shape", [(3, 4), (4,)])
def test_a_stack_steps_as_adamw_does(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    rates, decays = [1e-2, 1e-3, 3e-1], [0.0, 0.1, 0.5]
    tensors = [nn.Parameter(torch.randn(shape, generator=generator)) for _ in rates]
    stack = Stack.of(tensors)
    optimizers = [
        torch.optim.AdamW([one], lr=lr, weight_decay=decay, betas=BETAS, eps=EPSILON)
        for one, lr, decay in zip(tensors, rates, decays, strict=True)
    ]
    for count in range(1, 30):
        at = torch.arange(3) if count < 20 else torch.tensor([0, 2])
        for place in at.tolist():
            tensors[place].grad = torch.randn(shape, generator=generator)
            optimizers[place].step()
        gradients = torch.stack([grad for place in at.tolist() if (grad := tensors[place].grad) is not None])
        stack.step(gradients, at, torch.tensor(rates)[at], torch.tensor(decays)[at], count)
    torch.testing.assert_close(stack.values, torch.stack([one.detach() for one in tensors]), atol=1e-5, rtol=1e-5)


def test_each_goes_its_way_as_if_alone(make: Make) -> None:
    specs = [make(**own) for own in OWN]
    together = begun(specs)
    Heads(together, Observer()).run()
    for one, other in zip(together, begun(specs), strict=True):
        other.run()
        require_alike(one, other)
    assert together[0].steps == 100
    assert together[4].step < 100, "out of patience"


def test_one_that_diverges_is_left_out_and_the_others_go_on(make: Make) -> None:
    specs = [make(lr=1e-2), make(lr=1e38, warmup_ratio=0, weight_decay=0), make(lr=1e-2, seed=1)]
    members = begun(specs)
    group = Heads(members, Observer())
    group.run()
    assert group.diverged == {1}
    alone = begun(specs)
    for at in (0, 2):
        alone[at].run()
        require_alike(members[at], alone[at])
    with pytest.raises(DivergedError):
        alone[1].run()


@pytest.mark.parametrize("until", [3, 5, 17])
def test_they_go_on_from_where_they_stood(until: int, make: Make) -> None:
    specs = [make(**own) for own in OWN]
    whole, halves, rest = begun(specs), begun(specs), begun(specs)
    Heads(whole, Observer()).run()
    half, other = Heads(halves, Observer()), Heads(rest, Observer())
    half.run(until=until)
    other.restore(half.snapshot())
    assert other.step == until
    other.run()
    for one, two in zip(whole, rest, strict=True):
        assert [row.model_copy(update={"seconds": 0.0}) for row in one.curve] == [
            row.model_copy(update={"seconds": 0.0}) for row in two.curve
        ]
        assert np.array_equal(one.fit().dev_logits, two.fit().dev_logits)
    with pytest.raises(KeyError):
        Heads(begun([*specs[:2], make(seed=9)]), Observer()).restore(half.snapshot())


@pytest.mark.parametrize("until", [4, 17])
def test_they_go_on_from_the_disk(until: int, make: Make, tmp_path: Path) -> None:
    specs = [make(**own) for own in OWN]
    whole, halves, rest = begun(specs), begun(specs), begun(specs)
    Heads(whole, Observer()).run()
    store = Store(tmp_path, Identity("these", "data", "weights"), 2, lambda _: None)

    def stop() -> None:
        if half.step == until:
            raise StoppedError(2)

    half, other = Heads(halves, Observer()), Heads(rest, Observer())
    with pytest.raises(StoppedError):
        carry_through(half, store, Saving(steps=until), lambda _: None, stop)
    carry_through(other, store, Saving(steps=until), lambda _: None)
    assert other.steps == other.step == 100
    for one, two in zip(whole, rest, strict=True):
        assert np.array_equal(one.fit().dev_logits, two.fit().dev_logits)
        assert all(torch.equal(tensor, two.fit().state[name]) for name, tensor in one.fit().state.items())


def test_some_go_on_without_those_that_are_finished(make: Make) -> None:
    specs = [make(**own) for own in OWN]
    whole, rest_of = begun(specs), begun(specs[1::2])
    both, rest = Heads(whole, Observer()), Heads(rest_of, Observer())
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
    monkeypatch.setattr(Heads, "_take_step", None)
    records = trials(specs, tmp_path)
    assert [len(record.curve) for record in records] == [3] * 3


def test_trials_find_their_training_done(make: Make, tmp_path: Path, steps: list[int]) -> None:
    specs = [make(seed=0), make(seed=1), make(lr=3e-2, epochs=2)]
    records = trials(specs, tmp_path / "together")
    assert steps == []
    require_as_alone(records, tmp_path)
    assert steps


@pytest.mark.parametrize(
    "others",
    [
        {"method": "full"},
        {"engine": "plain"},
        {"head": "native"},
        {"overfit": 10},
        {"batch_size": 4},
    ],
    ids=str,
)
def test_others_are_left_to_themselves(others: dict[str, Any], make: Make, tmp_path: Path, steps: list[int]) -> None:
    """What has blocks or a head to train, the plain engine, a few rows alone, and batches of another size."""
    pair = [make(**others), make() if "batch_size" in others else make(seed=1, **others)]
    trials(pair, tmp_path)
    assert steps


@pytest.mark.parametrize(("worth", "together"), [(15, True), (16, False)])
def test_few_steps_are_not_worth_it(
    worth: int, together: bool, make: Make, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "WORTH", worth)
    trials([make(seed=0), make(seed=1)], tmp_path)
    assert (steps == []) == together


def test_a_finished_trial_is_not_trained_again(
    make: Make, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [make(seed=seed) for seed in range(3)]
    trials(specs[:2], tmp_path)
    members: list[int] = []
    begin = Heads.__init__

    def counted(self: Heads, trainings: list[Training], observer: Observer) -> None:
        members.append(len(trainings))
        begin(self, trainings, observer)

    monkeypatch.setattr(Heads, "__init__", counted)
    trials(specs, tmp_path)
    assert members == [], "one that is left is left to itself"
    trials([*specs, make(seed=3), make(seed=4)], tmp_path)
    assert members == [2]
    assert len(steps) == 3 * 5


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_a_search_trains_its_heads_together(sampler: str, make: Make, tmp_path: Path, steps: list[int]) -> None:
    spec = make()
    plan = Search(
        spec.data,
        spec.model,
        candidate("head", {"batch_size": BATCH}),
        dict(SPACE),
        sampler=sampler,
        trials=None if sampler == "grid" else 4,
        seeds=(0, 1),
        compute=spec.compute,
    )
    record = search(plan, tmp_path, Workbench(), "welltuned search")
    assert steps == []
    assert len(record.trials) == 4
    assert all(one.shared == 0 for one in record.trials)
    assert not list(tmp_path.rglob("checkpoint"))


def test_a_pruner_wants_one_after_the_other(make: Make, tmp_path: Path, steps: list[int]) -> None:
    spec = make()
    plan = Search(
        spec.data, spec.model, candidate("head", {"batch_size": BATCH}), dict(SPACE), compute=spec.compute,
        pruner="median",
    )  # fmt: skip
    search(plan, tmp_path, Workbench(), "welltuned search")
    assert steps

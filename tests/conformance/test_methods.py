"""Every method that the look-up finds keeps the contract of :mod:`welltuned.methods._base`, on every family."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conformance.contract import (
    CLASSES,
    LABELS,
    Subject,
    begun,
    check_frontier,
    snapshot,
    subject,
    take_steps,
    tiny_spec,
    trainable,
)
from families import FAMILIES, MAIN, logits_of
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from welltuned import artifact, methods
from welltuned.encoders import Encoder, LinearHead, native_parts
from welltuned.engine import Compute
from welltuned.errors import DataError, UsageError
from welltuned.methods._base import Choice, Method, MethodConfig, Range
from welltuned.pretrained import Pretrained, without_pooler
from welltuned.progress import Observer
from welltuned.shapes import KNOWN_CONFIGS, known_shape, shape_of
from welltuned.spec import MethodSpec, TrainSpec
from welltuned.together import Abreast, can_go_abreast, share_frozen

METHODS = methods.names()
SUBJECTS = [
    *((method, family, "mean") for method in METHODS for family in FAMILIES),
    *((method, family, "native") for method in METHODS for family in MAIN),
    *((method, "bert", "first") for method in METHODS),
]
Find = Callable[[str], Pretrained]


@pytest.fixture(params=SUBJECTS, ids="-".join)
def one(request: pytest.FixtureRequest, tiny: Find) -> Subject:
    method, family, head = request.param
    return subject(tiny(family), tiny_spec(method), head)


def test_no_method_is_left_out() -> None:
    folders = [
        Path(methods.__file__).parent,
        *map(Path, filter(None, os.environ.get("WELLTUNED_METHODS", "").split(os.pathsep))),
    ]
    files = {path.stem for folder in folders for path in folder.glob("[!_]*.py")}
    assert files
    assert {method for method, _, _ in SUBJECTS} == files
    for method in files:
        assert {family for name, family, head in SUBJECTS if name == method and head == "mean"} == set(FAMILIES)


def test_only_what_is_declared_trains(one: Subject) -> None:
    before, declared = snapshot(one.encoder), set(trainable(one.encoder))
    assert declared
    take_steps(one)
    after = snapshot(one.encoder)
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == declared


def test_gradients_reach_every_trained_tensor(one: Subject) -> None:
    take_steps(one, steps=2)
    gradients = {name: parameter.grad for name, parameter in one.encoder.named_parameters()}
    for name, gradient in gradients.items():
        assert (gradient is not None) == (name in trainable(one.encoder)), name
    assert all(gradient.isfinite().all() and gradient.any() for gradient in gradients.values() if gradient is not None)


def test_training_changes_the_output(one: Subject) -> None:
    before = one.logits()
    assert before.shape == (len(one.batch), CLASSES)
    assert before.dtype == torch.float32
    take_steps(one)
    assert not torch.allclose(before, one.logits(), atol=1e-3)


def test_the_ledger_is_what_is_counted(one: Subject) -> None:
    ledger = one.method.ledger(one.encoder.shape)
    assert all(part and count > 0 for part, count in ledger.items())
    assert sum(ledger.values()) == sum(parameter.numel() for parameter in trainable(one.encoder).values())


def test_the_positions_in_front_are_what_is_declared(one: Subject) -> None:
    assert one.method.positions() == one.encoder.prompt_length


def test_state_round_trip(one: Subject) -> None:
    take_steps(one)
    state, trained = one.method.state(one.encoder), one.logits()
    assert state.keys() == trainable(one.encoder).keys()
    kept = {name: value.clone() for name, value in state.items()}
    take_steps(one)
    assert all(torch.equal(state[name], kept[name]) for name in state), "state holds views, not copies"
    fresh = subject(one.origin, one.spec, one.encoder.shape.head)
    assert not torch.allclose(fresh.logits(), trained, atol=1e-4)
    fresh.method.load_state(fresh.encoder, state)
    assert torch.equal(fresh.logits(), trained)


@pytest.mark.parametrize("method", METHODS)
def test_a_state_that_does_not_fit_is_refused(method: str, tiny: Find) -> None:
    one = subject(tiny("bert"), tiny_spec(method))
    state = one.method.state(one.encoder)
    first, *others = state
    wrong = [
        {name: state[name] for name in others},
        {**state, "surplus": torch.zeros(1)},
        {**state, first: torch.zeros(*state[first].shape, 2)},
    ]
    before = snapshot(one.encoder)
    for candidate in wrong:
        with pytest.raises(DataError, match="does not fit"):
            one.method.load_state(one.encoder, candidate)
    assert all(torch.equal(before[name], value) for name, value in snapshot(one.encoder).items())


@pytest.mark.parametrize("method", METHODS)
def test_config_round_trip(method: str) -> None:
    spec = tiny_spec(method)
    again = MethodSpec.model_validate_json(spec.model_dump_json())
    assert again == spec
    assert again.id == spec.id
    built = methods.build(again)
    assert type(built) is methods.find(method)
    assert built.config == methods.build(spec).config
    with pytest.raises(UsageError, match="does not take"):
        methods.config_of(method, {"no_such_field": 1})


@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_declares(method: str) -> None:
    kind = methods.find(method)
    assert issubclass(kind, Method)
    assert issubclass(kind.Config, MethodConfig)
    assert kind.Config.model_config["frozen"]
    TrainSpec(lr=kind.defaults.lr, epochs=kind.defaults.epochs)
    assert kind.search_space
    for name, values in kind.search_space.items():
        options = values.values if isinstance(values, Choice) else (values.low, values.high)
        assert isinstance(values, Choice) or (isinstance(values, Range) and values.low < values.high)
        for value in options:
            if name in TrainSpec.model_fields:
                TrainSpec(**{"lr": 1e-3, name: value})
            else:
                methods.config_of(method, {name: value})


def test_saved_and_opened_again(one: Subject, tmp_path: Path) -> None:
    take_steps(one)
    trained = one.logits()
    artifact.save(tmp_path / "model", one.encoder, one.method, one.spec, one.origin, LABELS)
    model = artifact.load(tmp_path / "model")
    assert [model.config.id2label[i] for i in range(CLASSES)] == list(LABELS)
    with torch.no_grad():
        types = {} if one.batch.types is None else {"token_type_ids": one.batch.types}
        again = model(input_ids=one.batch.ids, attention_mask=one.batch.mask, **types).logits
    torch.testing.assert_close(again, trained, atol=1e-6, rtol=0)
    assert not [path for path in tmp_path.iterdir() if path.name != "model"], "a draft was left behind"


def test_merging_keeps_the_logits(one: Subject) -> None:
    take_steps(one)
    trained = one.logits()
    if not one.method.merge(one.encoder):
        assert torch.equal(one.logits(), trained)
        return
    torch.testing.assert_close(one.logits(), trained, atol=1e-5, rtol=0)
    plain = one.origin.encoder(one.encoder.shape.head, CLASSES, 0)
    assert {name: type(module) for name, module in one.encoder.named_modules()} == {
        name: type(module) for name, module in plain.named_modules()
    }
    assert one.encoder.state_dict().keys() == plain.state_dict().keys()
    plain.load_state_dict(one.encoder.state_dict())
    assert torch.equal(logits_of(plain, one.batch), one.logits())


def test_the_frontier_is_true(one: Subject) -> None:
    check_frontier(one)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_several_runs_in_one_pass_go_as_each_alone(method: str, family: str, tiny: Find) -> None:
    """Wherever the encoder and the method say that it can be done, dropout and all."""
    fast = Compute(torch.device("cpu"), "fp32", "fast")
    specs = [TrainSpec(lr=lr, epochs=2, batch_size=4, seed=seed) for seed, lr in enumerate((1e-3, 1e-2, 3e-3))]
    alone, together = ([begun(tiny(family), tiny_spec(method), one, fast, (12, 5)) for one in specs] for _ in range(2))
    if not can_go_abreast(alone[0].encoder):
        assert method not in ("lora", "prefix") or not alone[0].encoder.joins
        return
    for one in together:
        share_frozen(one.encoder, together[0].encoder)
    Abreast(together, Observer()).run()
    for one, other in zip(together, alone, strict=True):
        other.run()
        mine, theirs = snapshot(one.encoder), snapshot(other.encoder)
        for name, value in theirs.items():
            torch.testing.assert_close(mine[name], value, atol=1e-5, rtol=1e-5, msg=name)
        for row, expected in zip(one.curve, other.curve, strict=True):
            assert row.train_loss == pytest.approx(expected.train_loss, abs=1e-5)
            assert row.dev_loss == pytest.approx(expected.dev_loss, abs=1e-5)


@pytest.mark.parametrize("head", ["mean", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_closed_forms_of_tiny_models(family: str, head: str, tiny: Find) -> None:
    encoder = tiny(family).encoder(head, CLASSES, 0)
    shape = shape_of(encoder.backbone.config.to_dict()).with_head(head, CLASSES)
    assert shape == encoder.shape
    assert shape.parameters == sum(parameter.numel() for parameter in encoder.parameters())
    assert shape.backbone_parameters == sum(parameter.numel() for parameter in encoder.backbone.parameters())
    assert len(encoder.blocks) == shape.layers
    assert tuple(encoder.words.weight.shape) == (shape.vocab, shape.embedding)
    for matrix in shape.matrices:
        module = encoder.blocks[1].get_submodule(matrix.path)
        assert matrix.parameters == sum(parameter.numel() for parameter in module.parameters())


def on_meta(name: str, head: str) -> Encoder:
    """A well-known model without any memory for its weights."""
    shape = known_shape(name).with_head(head, 2)
    with torch.device("meta"):
        config = AutoConfig.for_model(**KNOWN_CONFIGS[name])
        if head == "native":
            return Encoder(*native_parts(AutoModelForSequenceClassification.from_config(config)), shape)
        backbone = AutoModel.from_config(config, **without_pooler(config))
        return Encoder(backbone, LinearHead(shape.hidden, 2, head), shape)


@pytest.mark.parametrize("head", ["mean", "native"])
@pytest.mark.parametrize("name", KNOWN_CONFIGS)
def test_closed_forms_of_known_models(name: str, head: str) -> None:
    encoder = on_meta(name, head)
    assert encoder.shape.parameters == sum(parameter.numel() for parameter in encoder.parameters())


@pytest.mark.parametrize("head", ["mean", "native"])
@pytest.mark.parametrize("method_name", METHODS)
@pytest.mark.parametrize("name", KNOWN_CONFIGS)
def test_ledgers_of_known_models(name: str, method_name: str, head: str) -> None:
    encoder, method = on_meta(name, head), methods.build(MethodSpec(name=method_name))
    method.attach(encoder)
    counted = sum(parameter.numel() for parameter in trainable(encoder).values())
    assert sum(method.ledger(encoder.shape).values()) == counted

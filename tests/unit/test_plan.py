from __future__ import annotations

import pytest

from welltuned import methods
from welltuned.errors import UsageError
from welltuned.plan import candidate, candidates, shape
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, ShapeSpec


@pytest.mark.parametrize("name", methods.names())
def test_a_name_alone_takes_the_methods_defaults(name: str) -> None:
    one, kind = candidate(name, {}), methods.find(name)
    assert one.name == name
    assert one.method.config == kind.Config().model_dump(mode="json")
    assert (one.train.lr, one.train.epochs) == (kind.defaults.lr, kind.defaults.epochs)


def test_fields_go_where_they_belong() -> None:
    one = candidate(" lora:rank=16:lr=1e-3:targets=query+up:epochs=2 ", {"epochs": 9, "batch_size": 4, "lr": None})
    assert one.name == "lora:rank=16:lr=1e-3:targets=query+up:epochs=2"
    assert one.method.config["rank"] == 16
    assert one.method.config["targets"] == ["query", "up"]
    assert (one.train.lr, one.train.epochs, one.train.batch_size) == (1e-3, 2, 4)
    assert candidate("lora", {"lr": 0.5}).train.lr == 0.5


def test_the_same_words_make_the_same_identity() -> None:
    data, model = DataSpec(source="d"), ModelSpec(name="m")
    a, b = (
        candidate(words, {}).run(data, model, 3, ComputeSpec())
        for words in ("lora:rank=8:alpha=16", "lora:alpha=16.0:rank=8")
    )
    assert a.train.seed == 3
    assert a.id == b.id
    assert a.id != candidate("lora:rank=4", {}).run(data, model, 3, ComputeSpec()).id


@pytest.mark.parametrize(
    ("expression", "match"),
    [
        ("loar", "did you mean lora"),
        ("", "no method ''"),
        ("lora:rank", "'rank' in 'lora:rank' has no value"),
        ("lora:rnk=3", "lora does not take rnk='3'"),
        ("lora:rank=0", "lora does not take rank='0'"),
        ("lora:rank=many", "lora does not take rank='many'"),
        ("head:rank=8", "head does not take rank='8'"),
        ("full:lr=0", "'0' is no lr"),
        ("full:lr=fast", "'fast' is no lr"),
        ("full:epochs=-1", "'-1' is no epochs"),
        ("full:warmup_ratio=2", "'2' is no warmup-ratio"),
        ("prefix:init=zeros", "prefix does not take init='zeros'"),
    ],
)
def test_what_cannot_be_read_is_refused(expression: str, match: str) -> None:
    with pytest.raises(UsageError, match=match) as error:
        candidate(expression, {})
    assert error.value.exit_code == 2


def test_lists() -> None:
    assert [one.name for one in candidates("full, lora:rank=4 ,lora:rank=8,", {})] == [
        "full", "lora:rank=4", "lora:rank=8",
    ]  # fmt: skip
    for nothing in ("", " , ,"):
        with pytest.raises(UsageError, match="no method is named"):
            candidates(nothing, {})
    with pytest.raises(UsageError, match="named twice"):
        candidates("full,head, full", {})


def test_a_shape_in_words() -> None:
    assert shape("bert") == ShapeSpec()
    assert shape(" roberta:layers=4:hidden=256:heads=8 ") == ShapeSpec(family="roberta", layers=4, hidden=256, heads=8)


@pytest.mark.parametrize(
    "words", ["gpt2", "bert:width=3", "bert:layers", "bert:layers=0", "bert:hidden=30:heads=4", ""]
)
def test_what_is_no_shape(words: str) -> None:
    with pytest.raises(UsageError, match="is no shape"):
        shape(words)

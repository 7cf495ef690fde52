from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from welltuned.spec import ComputeSpec, DataSpec, MethodSpec, ModelSpec, RunSpec, TrainSpec, short_name, without_home


def spec(**train: Any) -> RunSpec:
    return RunSpec(
        data=DataSpec(source="rows.csv"), model=ModelSpec(name="org/some-model"),
        method=MethodSpec(name="lora", config={"rank": 8, "alpha": 16.0}), train=TrainSpec(**{"lr": 1e-3, **train}),
    )  # fmt: skip


def test_the_identity_is_the_content() -> None:
    assert spec().id == spec().id
    assert spec().id == RunSpec.model_validate_json(spec().model_dump_json()).id
    others = {spec(lr=2e-3).id, spec(seed=1).id, spec(epochs=9).id, spec(patience=1).id}
    assert len(others | {spec().id}) == 5
    assert len(spec().id) == 12
    int(spec().id, 16)


def test_the_identity_is_the_same_in_every_session() -> None:
    """A changed identity orphans the finished runs of everyone: a new field needs a new schema."""
    assert DataSpec(source="rows.csv").id == "8267db4f78e7"


def test_the_name_tells_method_model_and_seed() -> None:
    assert spec(seed=3).name == f"lora-some-model-seed3-{spec(seed=3).id[:8]}"


def test_specs_are_frozen_and_refuse_unknown_fields() -> None:
    with pytest.raises(ValidationError):
        spec().train.lr = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError):
        TrainSpec(lr=1e-3, momentum=0.9)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (TrainSpec, {"lr": 0}), (TrainSpec, {"lr": 1, "epochs": 0}), (TrainSpec, {"lr": 1, "batch_size": 0}),
        (TrainSpec, {"lr": 1, "warmup_ratio": 1.1}), (TrainSpec, {"lr": 1, "seed": -1}),
        (TrainSpec, {"lr": 1, "schedule": "step"}), (TrainSpec, {"lr": 1, "overfit": 1}),
        (ModelSpec, {"name": "m", "max_length": 7}), (ModelSpec, {"name": "m", "head": "max"}),
        (DataSpec, {"source": "d", "max_train_samples": 0}), (ComputeSpec, {"precision": "fp16"}),
    ],
)  # fmt: skip
def test_values_out_of_range(kind: Any, field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        kind(**field)


@given(
    st.builds(
        TrainSpec, lr=st.floats(1e-9, 10), epochs=st.integers(1, 99), seed=st.integers(0, 2**31),
        batch_size=st.integers(1, 512), warmup_ratio=st.floats(0, 1), patience=st.none() | st.integers(1, 9),
    )
)  # fmt: skip
def test_json_round_trip(train: TrainSpec) -> None:
    again = TrainSpec.model_validate_json(train.model_dump_json())
    assert again == train
    assert again.id == train.id


@pytest.mark.parametrize(
    ("name", "short"),
    [("minilm", "minilm"), ("google-bert/bert-base-uncased", "bert-base-uncased"), ("runs/own/model", "own"),
     ("/a/folder/", "folder"), ("model", "model")],
)  # fmt: skip
def test_a_models_short_name(name: str, short: str) -> None:
    assert short_name(name) == short


def test_a_home_folder_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    assert without_home("welltuned train /home/alice/rows.csv --model=/home/alice") == (
        "welltuned train ~/rows.csv --model=~"
    )
    for other in ("/home/alicent/rows.csv", "/data/home/alice/x", "/home/bob", "org/model"):
        assert without_home(other) == other
    assert ModelSpec(name="/home/alice/models/m").name == "~/models/m"
    assert DataSpec(source="/home/alice/rows.csv").id == DataSpec(source="~/rows.csv").id
    assert short_name("~/model") == "model"
    monkeypatch.setenv("HOME", "/")
    assert without_home("/rows.csv") == "/rows.csv"

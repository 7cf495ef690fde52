from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import torch
from conformance.contract import CLASSES, LABELS, check_frontier, subject, take_steps, tiny_spec
from families import FAMILIES
from transformers import AutoModelForSequenceClassification

from welltuned import artifact, methods
from welltuned.engine import Compute, prepare
from welltuned.errors import UsageError
from welltuned.model import WelltunedForSequenceClassification
from welltuned.pretrained import Pretrained
from welltuned.shapes import known_shape
from welltuned.spec import MethodSpec

Find = Callable[[str], Pretrained]
CPU = torch.device("cpu")
EVERYTHING = "query+key+value+output+up+down"


def test_two_d_r_a_square_matrix() -> None:
    """d = 768, r = 8: 12,288 a matrix; query and value of twelve blocks; a linear head of 1,538."""
    ledger = methods.build(MethodSpec(name="lora", config={"rank": 8})).ledger(known_shape("bert-base"))
    assert ledger == {"adapter": 24 * 12_288, "head": 1_538}


@pytest.mark.parametrize(("layers", "frontier"), [(None, 0), (1, 2), (2, 1), (3, 0), (9, 0)])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_frontier_is_the_lowest_adapted_block(family: str, layers: int | None, frontier: int, tiny: Find) -> None:
    one = subject(tiny(family), tiny_spec("lora", layers=layers, dropout=0.1))
    assert one.encoder.frontier == frontier
    check_frontier(one)


def test_adapters_take_bf16_states_as_they_come(tiny: Find) -> None:
    one, reduced = subject(tiny("bert"), tiny_spec("lora", targets=EVERYTHING)), Compute(CPU, "bf16", "fast")
    prepare(one.encoder, reduced)
    taken: list[torch.dtype] = []
    for name, module in one.encoder.named_modules():
        if name.endswith("lora_A.default"):
            module.register_forward_pre_hook(lambda _, given: taken.append(given[0].dtype))
    with reduced.arithmetic():
        one.encoder(one.batch)
    assert set(taken) == {torch.bfloat16}
    taken.clear()
    one.encoder(one.batch)
    assert set(taken) == {torch.float32}


@pytest.mark.parametrize("head", ["mean", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_all_matrices_can_be_adapted_and_merged(family: str, head: str, tiny: Find) -> None:
    one = subject(tiny(family), tiny_spec("lora", targets=EVERYTHING, layers=2), head)
    counted = sum(parameter.numel() for parameter in one.encoder.parameters() if parameter.requires_grad)
    assert sum(one.method.ledger(one.encoder.shape).values()) == counted
    take_steps(one)
    trained = one.logits()
    assert one.method.merge(one.encoder)
    torch.testing.assert_close(one.logits(), trained, atol=1e-5, rtol=0)
    assert not [name for name, _ in one.encoder.named_parameters() if "lora" in name]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own call
@pytest.mark.parametrize("head", ["mean", "first", "native"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_adapter_opens_in_peft(family: str, head: str, tiny: Find, tmp_path: Path) -> None:
    one = subject(tiny(family), tiny_spec("lora", targets="query+value+up"), head)
    take_steps(one)
    trained = one.logits()
    artifact.save(tmp_path / "model", one.encoder, one.method, one.spec, one.origin, LABELS)
    folder = str(one.origin.folder)
    if head == "native":
        base = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=CLASSES)
    else:
        base = WelltunedForSequenceClassification.from_encoder(folder, CLASSES, head)
    types = {} if one.batch.types is None else {"token_type_ids": one.batch.types}
    inputs = {"input_ids": one.batch.ids, "attention_mask": one.batch.mask, **types}
    with torch.no_grad():
        untrained = base.eval()(**inputs).logits
        opened = peft.PeftModel.from_pretrained(base, str(tmp_path / "model" / "adapter")).eval()
        adapted = opened(**inputs).logits
        merged = opened.merge_and_unload()(**inputs).logits
    assert not torch.allclose(untrained, trained, atol=1e-3)
    torch.testing.assert_close(adapted, trained, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(merged, trained, atol=1e-5, rtol=0)


def test_it_starts_where_the_pretrained_model_is(tiny: Find) -> None:
    assert torch.equal(
        subject(tiny("bert"), tiny_spec("lora")).logits(), subject(tiny("bert"), tiny_spec("head")).logits()
    )


def test_a_role_that_no_matrix_has(tiny: Find) -> None:
    with pytest.raises(UsageError, match="computes gate"):
        subject(tiny("bert"), tiny_spec("lora", targets="gate"))


@pytest.mark.parametrize("field", [{"rank": 0}, {"alpha": -1}, {"dropout": 1.0}, {"layers": 0}, {"r": 8}])
def test_values_out_of_range(field: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="does not take"):
        methods.config_of("lora", field)

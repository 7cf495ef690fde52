from __future__ import annotations

import pytest

from welltuned.errors import UsageError
from welltuned.shapes import KNOWN_CONFIGS, families, known_shape, shape_of


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bert-base", 109_482_240 - 768 * 768 - 768),
        ("distilbert", 66_362_880),
        ("minilm", 22_713_216 - 384 * 384 - 384),
        ("roberta-base", 124_645_632 - 768 * 768 - 768),
        ("ModernBERT-base", 149_014_272),
    ],
)
def test_published_counts(name: str, parameters: int) -> None:
    """As their authors and Transformers count them, less the pooler (d*d + d) where there is one."""
    assert known_shape(name).backbone_parameters == parameters


def test_heads() -> None:
    shape = known_shape("bert-base")
    assert shape.with_head("mean", 2).head_parameters == 768 * 2 + 2
    assert shape.with_head("native", 3).head_parameters == 768 * 768 + 768 + 768 * 3 + 3


def test_names_are_found_in_any_case() -> None:
    assert known_shape("modernbert-BASE") == known_shape("ModernBERT-base")
    with pytest.raises(UsageError, match="no shape is known as 'gpt2'"):
        known_shape("gpt2")


def test_unknown_families_are_refused() -> None:
    with pytest.raises(UsageError, match="'gpt2' is not an encoder") as refused:
        shape_of({"model_type": "gpt2"})
    assert all(family in str(refused.value) for family in families())
    with pytest.raises(UsageError, match="None is not an encoder"):
        shape_of({})


def test_deberta_with_a_convolution_is_refused() -> None:
    with pytest.raises(UsageError, match="no closed form"):
        shape_of({"model_type": "deberta-v2", "share_att_key": True, "conv_kernel_size": 3})


def test_roberta_keeps_two_positions_back() -> None:
    assert known_shape("roberta-base").positions == 512


@pytest.mark.parametrize("name", KNOWN_CONFIGS)
def test_roles(name: str) -> None:
    shape = known_shape(name)
    for role in ("query", "key", "value", "output", "up", "down"):
        assert all(role in matrix.roles for matrix in shape.matrices_of(frozenset({role})))
    everything = frozenset({"query", "key", "value", "output", "up", "down"})
    assert shape.matrices_of(everything) == shape.matrices
    with pytest.raises(UsageError, match="computes gate"):
        shape.matrices_of(frozenset({"gate", "query"}))


def test_a_fused_projection_is_taken_once() -> None:
    fused = known_shape("ModernBERT-base").matrices_of(frozenset({"query", "value"}))
    assert [(matrix.path, matrix.inputs, matrix.outputs) for matrix in fused] == [("attn.Wqkv", 768, 2304)]

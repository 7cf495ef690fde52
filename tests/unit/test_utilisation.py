"""What a training's steps need, held against torch's own count, and what the machine's products allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from conformance.contract import CLASSES, PLAIN, tiny_spec
from families import FAMILIES, MAIN, tokenized
from made_records import make_run
from pydantic import ValidationError
from torch.utils.flop_counter import FlopCounterMode

from welltuned import methods, utilisation
from welltuned.batches import TokenizedSplit
from welltuned.encoders import Encoder
from welltuned.engine import Compute, prepare, random_state
from welltuned.pretrained import Pretrained
from welltuned.record import RunRecord, Utilisation

Find = Callable[[str], Pretrained]
TOLERANCE = 0.004
"""The head's products, of pooling and of its linear layer, which the form leaves out."""
CASES = [("full", {}), ("lora", {}), ("lora", {"layers": 2}), ("lora", {"targets": ("output", "down")}), ("prefix", {})]


def attached(origin: Pretrained, name: str, **config: object) -> Encoder:
    """Attention is formed by products that torch counts."""
    method, encoder = methods.build(tiny_spec(name, **config)), origin.encoder("mean", CLASSES, 0)
    method.attach(encoder)
    encoder.frontier = method.frontier(encoder.shape)
    encoder.backbone.set_attn_implementation("eager")
    return encoder.train()


def of_one_length(origin: Pretrained, tokens: int = 16, rows: int = 3) -> TokenizedSplit:
    """Rows that need no padding."""
    split = tokenized(origin, 60, CLASSES, longest=30)
    long = np.flatnonzero(split.lengths >= tokens)[:rows]
    assert len(long) == rows
    where = np.concatenate([np.arange(split.offsets[row], split.offsets[row] + tokens) for row in long])
    return replace(
        split, ids=split.ids[where], types=split.types[where], offsets=np.arange(0, rows * tokens + 1, tokens),
        labels=split.known_labels[long], cut=split.cut[long],
    )  # fmt: skip


def counted(encoder: Encoder, split: TokenizedSplit) -> int:
    """FLOP of a step's forward and backward, as torch counts the products that it runs, from the frontier on."""
    batch = split.batch(np.arange(len(split)))
    if encoder.frontier:
        with torch.no_grad():
            states = encoder.below(batch)
        batch = replace(batch, states=states)
    with FlopCounterMode(display=False) as seen:
        torch.nn.functional.cross_entropy(encoder(batch), batch.labels).backward()
    return int(seen.get_total_flops())


@pytest.mark.parametrize("family", MAIN)
@pytest.mark.parametrize(("method", "config"), CASES)
def test_the_closed_form_is_what_torch_counts(family: str, method: str, config: dict[str, object], tiny: Find) -> None:
    encoder, split = attached(tiny(family), method, **config), of_one_length(tiny(family))
    if encoder.shape.reaches:  # eager attention forms every pair
        encoder.shape = replace(encoder.shape, reaches=())
    found = utilisation.needed(encoder, split, PLAIN, encoder.frontier)
    assert found is not None
    assert found < counted(encoder, split) < found * (1 + TOLERANCE)


def test_a_method_that_trains_vectors_counts_from_the_first_of_them(tiny: Find) -> None:
    encoder, split = attached(tiny("bert"), "head"), of_one_length(tiny("bert"))
    encoder.frontier = 0
    encoder.blocks[1].attention.output.LayerNorm.requires_grad_(True)
    found = utilisation.needed(encoder, split, PLAIN)
    assert found is not None
    assert found < counted(encoder, split) < found * (1 + TOLERANCE)


def test_rows_of_many_lengths_count_without_their_padding(tiny: Find) -> None:
    encoder, split = attached(tiny("bert"), "full"), tokenized(tiny("bert"), 9, CLASSES)
    alone = [utilisation.needed(encoder, split.take(np.array([row])), PLAIN) for row in range(len(split))]
    assert len(set(alone)) > 1
    assert utilisation.needed(encoder, split, PLAIN) == sum(one or 0 for one in alone)


@pytest.mark.parametrize("tokens", [1, 3, 4, 5, 9])
def test_pairs_that_attention_sees(tokens: int) -> None:
    for reach in (None, 1, 4, 64):
        seen = sum(reach is None or abs(i - j) <= reach for i in range(tokens) for j in range(tokens))
        assert utilisation._pairs(np.array([tokens]), reach) == seen
    assert utilisation._pairs(np.array([tokens, 2]), None) == tokens**2 + 4


def test_windows_are_read_off_the_config(tiny: Find) -> None:
    local = FAMILIES["modernbert"].config["local_attention"] // 2
    assert tiny("modernbert").shape.reaches == (None, local, None)
    encoder, split = attached(tiny("modernbert"), "full"), of_one_length(tiny("modernbert"))
    windows, (tokens, width) = utilisation.needed(encoder, split, PLAIN), (16, encoder.shape.hidden)
    encoder.shape = replace(encoder.shape, reaches=())
    unseen = tokens**2 - utilisation._pairs(np.array([tokens]), local)
    assert windows == utilisation.needed(encoder, split, PLAIN) - 12 * width * unseen * len(split)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("method", "config"), CASES)
def test_the_engine_changes_no_count(method: str, config: dict[str, object], precision: str, tiny: Find) -> None:
    compute, split = Compute(torch.device("cpu"), precision, "fast"), tokenized(tiny("bert"), 9, CLASSES)
    plain, fast = (attached(tiny("bert"), method, **config) for _ in range(2))
    fast.backbone.set_attn_implementation("sdpa")
    assert prepare(fast, compute).joins
    assert utilisation.needed(fast, split, compute) == utilisation.needed(plain, split, PLAIN)


def test_nothing_is_said_where_the_form_does_not_hold(tiny: Find) -> None:
    origin = tiny("deberta-v2")
    assert utilisation.needed(attached(origin, "full"), tokenized(origin, 4, CLASSES), PLAIN) is None
    head = attached(tiny("bert"), "head")
    assert utilisation.utilisation(head, of_one_length(tiny("bert")), 2, 1.0, PLAIN) is None


def test_the_head_alone_needs_a_forward_pass_of_all_below(tiny: Find) -> None:
    split = of_one_length(tiny("bert"))
    whole, forward = (utilisation.needed(attached(tiny("bert"), name), split, PLAIN) for name in ("full", "head"))
    assert whole == 3 * (forward or 0)


def test_asking_leaves_no_trace(tiny: Find) -> None:
    encoder, split = attached(tiny("bert"), "lora"), of_one_length(tiny("bert"))
    before, hooks = random_state(PLAIN.device), [len(one._forward_hooks) for one in encoder.modules()]
    utilisation.needed(encoder, split, PLAIN)
    utilisation._fastest.cache_clear()
    utilisation.ceiling(PLAIN)
    after = random_state(PLAIN.device)
    assert torch.equal(before[0]["torch"], after[0]["torch"])
    assert before[1] == after[1]
    assert encoder.training
    assert [len(one._forward_hooks) for one in encoder.modules()] == hooks
    assert all(one.grad is None for one in encoder.parameters())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_ceiling_is_measured_once_for_these_threads(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compute, threads = Compute(torch.device("cpu"), precision, "fast"), torch.get_num_threads()
    monkeypatch.setitem(utilisation.PRODUCTS, "cpu", (64, 32, 48))
    utilisation._fastest.cache_clear()
    found = utilisation.ceiling(compute, seconds=0.001)
    assert found > 0
    assert utilisation.ceiling(compute, seconds=0.001) == found
    assert utilisation._fastest.cache_info().misses == 1
    assert torch.get_num_threads() == threads
    utilisation._fastest.cache_clear()


def test_where_the_memory_does_not_suffice_nothing_is_said(tiny: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, split = attached(tiny("bert"), "full"), of_one_length(tiny("bert"))

    def fails(error: Exception) -> Callable[..., float]:
        def measure(*_: object) -> float:
            raise error

        return measure

    monkeypatch.setattr(utilisation, "ceiling", fails(MemoryError()))
    assert utilisation.utilisation(encoder, split, 1, 1.0, PLAIN) is None
    monkeypatch.setattr(utilisation, "ceiling", fails(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        utilisation.utilisation(encoder, split, 1, 1.0, PLAIN)


def test_a_record_keeps_it_and_one_without_is_read() -> None:
    used = Utilisation(flop=3 * 10**12, seconds=6.0, ceiling=1e12)
    assert used.share == 0.5
    record = make_run().model_copy(update={"utilisation": used})
    text = record.model_dump_json()
    assert RunRecord.model_validate_json(text) == record
    old = make_run().model_dump(mode="json")
    del old["utilisation"]
    assert RunRecord.model_validate(old).utilisation is None


@pytest.mark.parametrize("part", ["flop", "seconds", "ceiling"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 10**400])
def test_parts_without_a_share_are_refused(part: str, value: float) -> None:
    with pytest.raises(ValidationError):
        Utilisation(**{"flop": 1, "seconds": 1.0, "ceiling": 1.0, part: value})

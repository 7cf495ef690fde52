from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from families import FAMILIES, bert_tokenizer, config_of, roberta_tokenizer
from transformers import AutoModelForMaskedLM, AutoTokenizer

from welltuned.engine import Compute, prepare
from welltuned.pretrained import Pretrained, pretrained
from welltuned.pretraining.masked_lm import MaskedLM, from_scratch
from welltuned.shapes import shape_of
from welltuned.spec import ModelSpec, ShapeSpec

PLAIN = Compute(torch.device("cpu"), "fp32", "plain")
FAST = Compute(torch.device("cpu"), "fp32", "fast")


def rows(vocabulary: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    ids = torch.randint(5, vocabulary, (3, 12), generator=random)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    labels = torch.full_like(ids, -100)
    labels[0, 2], labels[0, 5], labels[1, 3], labels[2, 11] = 7, 8, 9, 10
    return ids, mask, labels


@pytest.mark.parametrize("compute", [PLAIN, FAST], ids=["plain", "fast"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_at_the_labels_are_those_of_plain_transformers(family: str, compute: Compute, tmp_path: Path) -> None:
    known = FAMILIES[family]
    tokenizer = known.tokenizer()
    torch.manual_seed(0)
    plain = AutoModelForMaskedLM.from_config(config_of(known, tokenizer)).eval()
    plain.save_pretrained(tmp_path)
    ids, mask, labels = rows(len(tokenizer))
    with torch.no_grad():
        expected = plain(input_ids=ids, attention_mask=mask).logits[labels != -100]
        ours = prepare(MaskedLM(AutoModelForMaskedLM.from_pretrained(tmp_path)), compute).eval()
        logits, found = ours(ids, mask, labels)
    assert found.tolist() == [7, 8, 9, 10]
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in plain.parameters())
    reunited = ours.reunited().eval()
    with torch.no_grad():
        again = reunited(input_ids=ids, attention_mask=mask).logits[labels != -100]
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bare_encoder_gets_a_fresh_head_and_keeps_its_weights(family: str, tiny: Callable[[str], Pretrained]) -> None:
    origin = tiny(family)
    stock, fresh = origin.masked_lm(0)
    assert fresh
    model = MaskedLM(stock)
    plain = origin.encoder("mean", 2, 0).backbone.state_dict()
    ours = model.backbone.state_dict()
    assert all(torch.equal(ours[name], value) for name, value in plain.items())
    shared = {id(parameter) for parameter in model.backbone.parameters()}
    assert any(id(parameter) in shared for parameter in model.head.parameters()) or family in ("electra", "deberta-v2")
    same, other = origin.masked_lm(0)[0].state_dict(), origin.masked_lm(1)[0].state_dict()
    assert all(torch.equal(value, same[name]) for name, value in origin.masked_lm(0)[0].state_dict().items())
    assert any(not torch.equal(value, other[name]) for name, value in same.items())


def test_a_head_of_its_own_is_kept(tmp_path: Path, model_folder: Callable[[str], Path]) -> None:
    stock = AutoModelForMaskedLM.from_pretrained(model_folder("bert"))
    stock.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(model_folder("bert")).save_pretrained(tmp_path)
    again, fresh = pretrained(ModelSpec(name=str(tmp_path))).masked_lm(5)
    assert not fresh
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in stock.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_alone_moves_where_it_is_to(family: str, tiny: Callable[[str], Pretrained]) -> None:
    model = MaskedLM(tiny(family).masked_lm(0)[0])
    model.train_head_only(True)
    model.train()
    assert not model.backbone.training
    logits, labels = model(*rows(40))
    torch.nn.functional.cross_entropy(logits, labels).backward()
    assert all(parameter.grad is None for parameter in model.backbone.parameters())
    backbone = {id(parameter) for parameter in model.backbone.parameters()}
    own = [parameter for parameter in model.head.parameters() if id(parameter) not in backbone]
    assert own
    assert all(parameter.grad is not None for parameter in own)
    model.train_head_only(False)
    assert model.backbone.training
    model(*rows(40))[0].sum().backward()
    assert all(parameter.grad is not None for name, parameter in model.backbone.named_parameters() if "layer" in name)


@pytest.mark.parametrize(("family", "tokenizer"), [("bert", bert_tokenizer()), ("roberta", roberta_tokenizer())])
def test_from_scratch(family: str, tokenizer, tmp_path: Path) -> None:
    shape = ShapeSpec(family=family, layers=1, hidden=16, heads=4)
    stock = from_scratch(shape, tokenizer, 600, 3)
    found = shape_of(stock.config.to_dict())
    assert (found.layers, found.hidden, found.heads, found.positions) == (1, 16, 4, 600)
    assert stock.config.vocab_size == len(tokenizer)
    ids = torch.randint(5, len(tokenizer), (1, 600))
    stock(input_ids=ids)
    same, other = (
        from_scratch(shape, tokenizer, 600, 3).state_dict(),
        from_scratch(shape, tokenizer, 600, 4).state_dict(),
    )
    assert all(torch.equal(value, same[name]) for name, value in stock.state_dict().items())
    assert any(not torch.equal(value, other[name]) for name, value in same.items())

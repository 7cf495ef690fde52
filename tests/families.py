"""Tiny random models of the encoder families, each with a tokenizer of the family's own kind and pair template.

Every parameter is random (biases and norms too), so that a tensor which is lost, swapped or left out shows in the
logits. Dropout is on wherever a family has it.
"""

from __future__ import annotations

import csv
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    BertTokenizer,
    DebertaV2Tokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
)

from welltuned.batches import Batch, TokenizedSplit, tokenize
from welltuned.data.dataset import Split
from welltuned.encoders import Encoder
from welltuned.pretrained import Pretrained

WORDS = [
    "is", "was", "the", "a", "an", "of", "in", "on", "it", "moon", "sun", "river",
    "tall", "old", "new", "red", "blue", "green", "city", "tower", "book", "film", "song", "king",
    "queen", "north", "south", "east", "west", "long", "short", "high", "low", "first", "last", "great",
    "small", "won", "lost", "made", "born", "built", "wrote", "ran",
]  # fmt: skip
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = list(string.ascii_lowercase)
POSITIONS = 128
LAYERS, HIDDEN, HEADS = 3, 32, 4


@dataclass(frozen=True)
class Family:
    """One ``model_type``: a small config, its tokenizer, and how it joins two texts."""

    name: str
    config: Mapping[str, Any]
    tokenizer: Callable[[], Any]
    template: tuple[str, ...]
    has_types: bool


def wordpiece_vocabulary() -> dict[str, int]:
    pieces = [*SPECIALS, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS), "?", ".", ",", "[", "]"]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def bert_tokenizer() -> Any:
    return BertTokenizer(vocab=wordpiece_vocabulary())


def distilbert_tokenizer() -> Any:
    return BertTokenizer(vocab=wordpiece_vocabulary(), model_input_names=["input_ids", "attention_mask"])


def modernbert_tokenizer() -> Any:
    """As its authors publish it: a bare fast tokenizer, without segment ids."""
    vocabulary = wordpiece_vocabulary()
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def roberta_tokenizer() -> Any:
    """Byte-level pairs without merges: a token a byte."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    return RobertaTokenizer(vocab={piece: i for i, piece in enumerate([*pieces, "<mask>"])}, merges=[])


def deberta_tokenizer() -> Any:
    pieces = [(piece, 0.0) for piece in ("[PAD]", "[CLS]", "[SEP]", "[UNK]")]
    pieces += [("▁", -4.0), *((f"▁{word}", -3.0) for word in WORDS if len(word) > 1)]
    pieces += [(letter, -5.0) for letter in [*LETTERS, "?", ".", ",", "[", "]"]]
    return DebertaV2Tokenizer(vocab=[*pieces, ("[MASK]", 0.0)])


def _config(kind: str, **fields: Any) -> dict[str, Any]:
    common = {
        "hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "intermediate_size": 48, "max_position_embeddings": POSITIONS, "initializer_range": 0.15,
    }  # fmt: skip
    return {"model_type": kind, **common, **fields}


_BRACKETS = ("[CLS]", "A", "[SEP]", "B", "[SEP]")

FAMILIES = {
    family.name: family
    for family in (
        Family("bert", _config("bert"), bert_tokenizer, _BRACKETS, True),
        Family(
            "roberta",
            _config("roberta", type_vocab_size=1, max_position_embeddings=POSITIONS + 2),
            roberta_tokenizer,
            ("<s>", "A", "</s>", "</s>", "B", "</s>"),
            False,
        ),
        Family(
            "distilbert",
            {
                "model_type": "distilbert",
                "dim": HIDDEN,
                "n_layers": LAYERS,
                "n_heads": HEADS,
                "hidden_dim": 48,
                "max_position_embeddings": POSITIONS,
                "initializer_range": 0.15,
            },
            distilbert_tokenizer,
            _BRACKETS,
            False,
        ),
        Family(
            "modernbert",
            _config(
                "modernbert",
                local_attention=8,
                attention_dropout=0.1,
                mlp_dropout=0.1,
                embedding_dropout=0.1,
                classifier_dropout=0.1,
                global_attn_every_n_layers=2,
            ),
            modernbert_tokenizer,
            _BRACKETS,
            False,
        ),
        Family("electra", _config("electra", embedding_size=16), bert_tokenizer, _BRACKETS, True),
        Family(
            "deberta-v2",
            _config(
                "deberta-v2",
                type_vocab_size=0,
                relative_attention=True,
                position_buckets=16,
                share_att_key=True,
                norm_rel_ebd="layer_norm",
                pos_att_type=["p2c", "c2p"],
                position_biased_input=False,
            ),
            deberta_tokenizer,
            _BRACKETS,
            True,
        ),
    )
}
MAIN = ("bert", "distilbert", "roberta", "modernbert")


def config_of(family: Family, tokenizer: Any) -> Any:
    """The family's small config, its vocabulary and special ids those of the tokenizer."""
    roles = ("pad_token_id", "cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id")
    ids = {role: getattr(tokenizer, role) for role in roles}
    return AutoConfig.for_model(**{**family.config, **ids}, vocab_size=len(tokenizer))


def write_model(family: Family, folder: Path, seed: int = 0) -> None:
    """Save a random model of a family with its tokenizer."""
    tokenizer = family.tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModel.from_config(config_of(family, tokenizer))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def sentence(random: np.random.Generator, words: int) -> str:
    return " ".join(random.choice(WORDS, words))


def examples(n: int, classes: int = 2, seed: int = 0, longest: int = 8) -> Split:
    """Rows of 1 to ``longest`` words a text; the passage's first word tells the class."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    questions = tuple(sentence(random, random.integers(1, 4)) for _ in range(n))
    passages = tuple(f"{WORDS[label]} {sentence(random, random.integers(0, longest))}".strip() for label in labels)
    return Split(questions, passages, labels.astype(np.int64), tuple(f"made:{i}" for i in range(n)))


def write_examples(folder: Path, sizes: Mapping[str, int]) -> Path:
    """A folder with one csv file a split, so many rows each, no two alike."""
    for seed, (name, n) in enumerate(sizes.items()):
        split = examples(n, seed=seed + 10)
        assert split.pair is not None
        assert split.label is not None
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["question", "passage", "answer"])
            for i, (text, pair, label) in enumerate(zip(split.text, split.pair, split.label, strict=True)):
                writer.writerow([f"{text} {name} {i}", f"{pair} {name} {i}", ("no", "yes")[label]])
    return folder


def tokenized(origin: Pretrained, n: int = 8, classes: int = 2, seed: int = 0, longest: int = 8) -> TokenizedSplit:
    return tokenize(examples(n, classes, seed, longest), origin.tokenizer, 64)


def whole(split: TokenizedSplit) -> Batch:
    """All rows of a split as one batch."""
    return split.batch(np.arange(len(split)))


@torch.no_grad()
def logits_of(encoder: Encoder, batch: Batch) -> torch.Tensor:
    """[B, C] in evaluation mode."""
    encoder.eval()
    return encoder(batch)

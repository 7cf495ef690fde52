"""The dimensions of an encoder, and every parameter count that follows from them in closed form.

A :class:`Shape` is read off a model's config alone: no weights, no torch. Letters used throughout Welltuned:

    B rows of a batch     T tokens of a row      d hidden width       h attention heads
    L blocks              f feed-forward width   V vocabulary         P positions
    C classes             e embedding width (= d in most families)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from welltuned.errors import UsageError

Roles = frozenset[str]


@dataclass(frozen=True)
class Matrix:
    """A linear map inside every block.

    Attributes:
        path: module path below the block.
        roles: what it computes: "query", "key", "value", "output" (of attention), "up", "down" (of the
            feed-forward part). A fused projection has several.
        inputs, outputs: its widths.
        bias: whether it adds a vector.
    """

    path: str
    roles: Roles
    inputs: int
    outputs: int
    bias: bool = True

    @property
    def parameters(self) -> int:
        """inputs * outputs, and outputs more with a bias."""
        return self.inputs * self.outputs + self.outputs * self.bias


@dataclass(frozen=True)
class Shape:
    """Dimensions of an encoder with its classification head.

    Attributes:
        family: the ``model_type`` of its config.
        layers, hidden, heads, intermediate, vocab: L, d, h, f, V.
        embedding: e, the width of word embeddings (before any projection to d).
        positions: tokens a row can have at most (after the family's offset).
        first_position: the number of a row's first position.
        reaches: of each block, how many tokens to either side its attention sees, None for all; empty if all see all.
        blocks: module path of the list of blocks below the backbone.
        blocks_return_pairs: whether a block returns its hidden states in a pair with attention weights.
        matrices: the linear maps of a block.
        block_vectors: parameters of one block outside its matrices (norms).
        first_block_missing: parameters that the first block lacks.
        embedding_parameters: everything below the first block.
        final_parameters: everything between the last block and the head.
        classes: C.
        head: "mean", "first" or "native".
    """

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocab: int
    embedding: int
    positions: int
    blocks: str
    matrices: tuple[Matrix, ...]
    block_vectors: int
    embedding_parameters: int
    final_parameters: int = 0
    first_block_missing: int = 0
    classes: int = 2
    head: str = "mean"
    blocks_return_pairs: bool = False
    first_position: int = 0
    reaches: tuple[int | None, ...] = ()

    @property
    def block_parameters(self) -> int:
        """Parameters of one block (of any but the first, where that differs)."""
        return sum(matrix.parameters for matrix in self.matrices) + self.block_vectors

    @property
    def backbone_parameters(self) -> int:
        """Parameters of embeddings, all blocks and what follows them, without the head."""
        blocks = self.layers * self.block_parameters - self.first_block_missing
        return self.embedding_parameters + blocks + self.final_parameters

    @property
    def head_parameters(self) -> int:
        """Linear head: d*C + C. Native head: one dense layer of d*d + d more.

        The native heads of all families here hold d*d + d before the classifier: a biased dense layer (BERT's
        pooler, RoBERTa, DistilBERT, ELECTRA, DeBERTa) or an unbiased one with a norm of d scales (ModernBERT).
        """
        linear = self.hidden * self.classes + self.classes
        return linear + self.hidden * self.hidden + self.hidden if self.head == "native" else linear

    @property
    def parameters(self) -> int:
        """Parameters of the whole model, head included."""
        return self.backbone_parameters + self.head_parameters

    def with_head(self, head: str, classes: int) -> Shape:
        """The same encoder under another head."""
        return replace(self, head=head, classes=classes)

    def require_positions(self, before: int, max_length: int) -> None:
        """Refuse rows that are longer than the positions this encoder was trained with.

        Args:
            before: positions that a method takes up in front of each row.
            max_length: tokens a row at most.

        Raises:
            UsageError: together they exceed ``positions``.
        """
        room = self.positions - before
        if max_length > room:
            behind = f" behind a prefix of {before}" if before else ""
            raise UsageError(
                f"rows of {max_length} tokens{behind} exceed this encoder's {self.positions} positions",
                where="--max-length",
                why="it was pretrained with so many, and knows none beyond",
                mend=f"use --max-length {room} or less" if room >= 8 else "use a shorter prefix",
            )

    def matrices_of(self, roles: Roles) -> tuple[Matrix, ...]:
        """The matrices of a block that compute at least one of these roles.

        Raises:
            UsageError: a role that no matrix of this family has.
        """
        known = frozenset().union(*(matrix.roles for matrix in self.matrices))
        if unknown := sorted(roles - known):
            raise UsageError(
                f"no matrix of a {self.family} block computes {', '.join(unknown)}",
                where="targets",
                why="only matrices that a block has can be adapted",
                mend=f"choose among {', '.join(sorted(known))}",
            )
        return tuple(matrix for matrix in self.matrices if matrix.roles & roles)


def _roles(*names: str) -> Roles:
    return frozenset(names)


def _attention(paths: tuple[str, str, str, str], width: int) -> tuple[Matrix, ...]:
    names = ("query", "key", "value", "output")
    return tuple(Matrix(path, _roles(name), width, width) for path, name in zip(paths, names, strict=True))


_BERT_PATHS = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")


def _post_norm(config: Mapping[str, Any], attention_paths: tuple[str, str, str, str]) -> dict[str, Any]:
    """What BERT and its nearest kin have in common: biased matrices, two norms a block, absolute positions."""
    d, f, e = (
        config["hidden_size"],
        config["intermediate_size"],
        config.get("embedding_size", config["hidden_size"]),
    )
    vocab, positions, types = (
        config["vocab_size"],
        config["max_position_embeddings"],
        config["type_vocab_size"],
    )
    return {
        "layers": config["num_hidden_layers"],
        "hidden": d,
        "heads": config["num_attention_heads"],
        "intermediate": f,
        "vocab": vocab,
        "embedding": e,
        "positions": positions,
        "blocks": "encoder.layer",
        "matrices": (
            *_attention(attention_paths, d),
            Matrix("intermediate.dense", _roles("up"), d, f),
            Matrix("output.dense", _roles("down"), f, d),
        ),
        "block_vectors": 4 * d,
        "embedding_parameters": (vocab + positions + types) * e + 2 * e,
    }


def _bert(config: Mapping[str, Any]) -> Shape:
    return Shape(family="bert", **_post_norm(config, _BERT_PATHS))


def _roberta(config: Mapping[str, Any]) -> Shape:
    """RoBERTa numbers positions from padding_idx + 1 on, so that many fewer are usable."""
    first = config.get("pad_token_id", 1) + 1
    shape = Shape(family="roberta", **_post_norm(config, _BERT_PATHS))
    return replace(shape, positions=shape.positions - first, first_position=first)


def _electra(config: Mapping[str, Any]) -> Shape:
    shape = Shape(family="electra", **_post_norm(config, _BERT_PATHS))
    projection = 0 if shape.embedding == shape.hidden else shape.embedding * shape.hidden + shape.hidden
    return replace(shape, embedding_parameters=shape.embedding_parameters + projection)


def _distilbert(config: Mapping[str, Any]) -> Shape:
    d, f = config["dim"], config["hidden_dim"]
    vocab, positions = config["vocab_size"], config["max_position_embeddings"]
    paths = ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin")
    return Shape(
        family="distilbert",
        layers=config["n_layers"],
        hidden=d,
        heads=config["n_heads"],
        intermediate=f,
        vocab=vocab,
        embedding=d,
        positions=positions,
        blocks="transformer.layer",
        matrices=(
            *_attention(paths, d),
            Matrix("ffn.lin1", _roles("up"), d, f),
            Matrix("ffn.lin2", _roles("down"), f, d),
        ),
        block_vectors=4 * d,
        embedding_parameters=(vocab + positions) * d + 2 * d,
    )


def _modernbert(config: Mapping[str, Any]) -> Shape:
    """ModernBERT: rotary positions, gated feed-forward, fused projection, no norm before the first attention.

    All blocks but every third (Warner et al. 2024, section 2.1.2) see half a window to either side.
    """
    d, f = config["hidden_size"], config["intermediate_size"]
    norm = 2 * d if config["norm_bias"] else d
    attention_bias, mlp_bias = config["attention_bias"], config["mlp_bias"]
    every, reach = config.get("global_attn_every_n_layers", 3), config.get("local_attention", 128) // 2
    kinds = config.get("layer_types") or [
        "sliding_attention" if at % every else "full_attention" for at in range(config["num_hidden_layers"])
    ]
    return Shape(
        family="modernbert",
        layers=config["num_hidden_layers"],
        hidden=d,
        heads=config["num_attention_heads"],
        intermediate=f,
        vocab=config["vocab_size"],
        embedding=d,
        positions=config["max_position_embeddings"],
        blocks="layers",
        matrices=(
            Matrix("attn.Wqkv", _roles("query", "key", "value"), d, 3 * d, attention_bias),
            Matrix("attn.Wo", _roles("output"), d, d, attention_bias),
            Matrix("mlp.Wi", _roles("up"), d, 2 * f, mlp_bias),
            Matrix("mlp.Wo", _roles("down"), f, d, mlp_bias),
        ),
        block_vectors=2 * norm,
        first_block_missing=norm,
        embedding_parameters=config["vocab_size"] * d + norm,
        final_parameters=norm,
        reaches=tuple(reach if kind == "sliding_attention" else None for kind in kinds),
    )


def _deberta(config: Mapping[str, Any]) -> Shape:
    """DeBERTa v2/v3 with shared relative-position keys: relative embeddings, optional absolute ones."""
    if not config.get("share_att_key") or config.get("conv_kernel_size", 0):
        raise UsageError("this DeBERTa variant (own relative keys, or a convolution) has no closed form here")
    d = config["hidden_size"]
    paths = (
        "attention.self.query_proj",
        "attention.self.key_proj",
        "attention.self.value_proj",
        _BERT_PATHS[3],
    )
    shape = Shape(family="deberta-v2", **_post_norm(config, paths), blocks_return_pairs=True)
    absolute = config["max_position_embeddings"] * shape.embedding
    reach = config.get("max_relative_positions", -1)
    reach = config["max_position_embeddings"] if reach < 1 else reach
    buckets = config.get("position_buckets", -1)
    relative = 2 * (buckets if buckets > 0 else reach) * d
    normed = 2 * d if "layer_norm" in str(config.get("norm_rel_ebd", "none")) else 0
    below = shape.embedding_parameters - (0 if config.get("position_biased_input", True) else absolute)
    return replace(shape, embedding_parameters=below, final_parameters=relative + normed)


_FAMILIES: dict[str, Callable[[Mapping[str, Any]], Shape]] = {
    "bert": _bert,
    "roberta": _roberta,
    "xlm-roberta": _roberta,
    "camembert": _roberta,
    "electra": _electra,
    "distilbert": _distilbert,
    "modernbert": _modernbert,
    "deberta-v2": _deberta,
}


def families() -> tuple[str, ...]:
    """The ``model_type`` values that Welltuned knows."""
    return tuple(_FAMILIES)


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Read the shape off a config's dictionary (``config.to_dict()`` or ``config.json`` with defaults).

    Raises:
        UsageError: the architecture is not one of :func:`families`.
    """
    family = config.get("model_type")
    if family not in _FAMILIES:
        raise UsageError(
            f"a model of type {family!r} is not an encoder that Welltuned knows",
            why="fine-tuning here needs a bidirectional encoder of a known family",
            mend=f"choose a model of one of these types: {', '.join(_FAMILIES)}",
        )
    return replace(_FAMILIES[family](config), family=family)


def _bert_config(layers: int, d: int, heads: int, vocab: int) -> dict[str, Any]:
    return {
        "model_type": "bert", "num_hidden_layers": layers, "hidden_size": d, "num_attention_heads": heads,
        "intermediate_size": 4 * d, "vocab_size": vocab, "max_position_embeddings": 512, "type_vocab_size": 2,
    }  # fmt: skip


def _roberta_config(layers: int, d: int, heads: int) -> dict[str, Any]:
    return _bert_config(layers, d, heads, 50265) | {
        "model_type": "roberta", "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1,
    }  # fmt: skip


KNOWN_CONFIGS: dict[str, dict[str, Any]] = {
    "minilm": _bert_config(6, 384, 12, 30522),
    "distilbert": {
        "model_type": "distilbert", "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072,
        "vocab_size": 30522, "max_position_embeddings": 512,
    },
    "bert-base": _bert_config(12, 768, 12, 30522),
    "bert-base-cased": _bert_config(12, 768, 12, 28996),
    "bert-large": _bert_config(24, 1024, 16, 30522),
    "bert-large-cased": _bert_config(24, 1024, 16, 28996),
    "roberta-base": _roberta_config(12, 768, 12),
    "roberta-large": _roberta_config(24, 1024, 16),
    "ModernBERT-base": {
        "model_type": "modernbert", "num_hidden_layers": 22, "hidden_size": 768, "num_attention_heads": 12,
        "intermediate_size": 1152, "vocab_size": 50368, "max_position_embeddings": 8192,
        "norm_bias": False, "attention_bias": False, "mlp_bias": False,
    },
}  # fmt: skip
"""Configs of well-known models, as their authors published them, so that counts need no download."""


def known_shape(name: str) -> Shape:
    """The shape of a well-known model by its short name.

    Raises:
        UsageError: the name is not among :data:`KNOWN_CONFIGS`.
    """
    matches = {key.lower(): key for key in KNOWN_CONFIGS}
    if name.lower() not in matches:
        raise UsageError(f"no shape is known as {name!r}", mend=f"choose among {', '.join(KNOWN_CONFIGS)}")
    return shape_of(KNOWN_CONFIGS[matches[name.lower()]])

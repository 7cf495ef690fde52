"""How a tokenizer lays out a row: which special tokens stand where, and which segment each position belongs to."""

from __future__ import annotations

from typing import Any

from welltuned.record.tokenizers import Layout, Part

SEPARATORS = ("[SEP]", "</s>")
"""What separates texts for BERT's kin and for RoBERTa's, written out as a text might hold it."""

_PARTS: dict[int | None, Part] = {None: "special", 0: "text", 1: "text_pair"}


def lay_out(tokenizer: Any, text: str, pair: str | None, max_length: int) -> Layout:
    """One row as the model would see it.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        pair: the second text, where rows have one.
        max_length: tokens at most; the second text is cut, as in training.
    """
    encoded = tokenizer(
        text,
        pair,
        truncation="longest_first" if pair is None else "only_second",
        max_length=max_length,
        return_token_type_ids=True,
    )
    ids = list(encoded["input_ids"])
    parts = [_PARTS[part] for part in encoded.sequence_ids()]
    pieces = tokenizer.convert_ids_to_tokens(ids)
    has_segments = "token_type_ids" in tokenizer.model_input_names
    return Layout(
        template=_template(pieces, parts),
        pieces=pieces,
        ids=ids,
        parts=parts,
        segments=list(encoded["token_type_ids"]) if has_segments else None,
        literals={literal: is_special(tokenizer, literal) for literal in SEPARATORS},
    )


def is_special(tokenizer: Any, literal: str) -> bool:
    """Whether these characters in a text become one special token instead of being read as characters."""
    ids = tokenizer(literal, add_special_tokens=False)["input_ids"]
    return len(ids) == 1 and ids[0] in tokenizer.all_special_ids and ids[0] != tokenizer.unk_token_id


def _template(pieces: list[str], parts: list[Part]) -> str:
    names = {"text": "A", "text_pair": "B"}
    found: list[str] = []
    for piece, part in zip(pieces, parts, strict=True):
        name = names.get(part, piece)
        if part == "special" or not found or found[-1] != name:
            found.append(name)
    return " ".join(found)

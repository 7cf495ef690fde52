from __future__ import annotations

import pytest
from families import FAMILIES

from welltuned.tokenizing.layout import is_special, lay_out


@pytest.mark.parametrize("family", FAMILIES)
def test_the_template_is_the_familys(family: str) -> None:
    known = FAMILIES[family]
    layout = lay_out(known.tokenizer(), "is it", "the sun", 64)
    assert tuple(layout.template.split()) == known.template
    assert (layout.segments is not None) == known.has_types
    assert len(layout.pieces) == len(layout.ids) == len(layout.parts)


def test_segments_change_at_the_second_text() -> None:
    layout = lay_out(FAMILIES["bert"].tokenizer(), "is it", "the sun", 64)
    assert layout.pieces == ["[CLS]", "is", "it", "[SEP]", "the", "sun", "[SEP]"]
    assert layout.segments == [0, 0, 0, 0, 1, 1, 1]
    assert layout.parts == ["special", "text", "text", "special", "text_pair", "text_pair", "special"]


def test_single_texts() -> None:
    assert lay_out(FAMILIES["bert"].tokenizer(), "is it", None, 64).template == "[CLS] A [SEP]"


def test_only_the_second_text_is_cut() -> None:
    layout = lay_out(FAMILIES["roberta"].tokenizer(), "is it", "the sun is new", 14)
    assert len(layout.ids) == 14
    assert layout.parts.count("text") == 5


@pytest.mark.parametrize(("family", "literal"), [("bert", "[SEP]"), ("roberta", "</s>")])
def test_a_separator_written_out_is_special_to_its_own_family_alone(family: str, literal: str) -> None:
    literals = lay_out(FAMILIES[family].tokenizer(), "is it", "so", 64).literals
    assert literals == {"[SEP]": literal == "[SEP]", "</s>": literal == "</s>"}


def test_the_unknown_token_is_not_taken_for_a_special_one() -> None:
    assert not is_special(FAMILIES["bert"].tokenizer(), "漢")

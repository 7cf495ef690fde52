from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from families import bert_tokenizer, roberta_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from welltuned.data.corpus import Corpus
from welltuned.errors import DataError
from welltuned.pretraining import tokens as module
from welltuned.pretraining.tokens import TrainLines, is_held_out, token_streams
from welltuned.progress import Observer

LINES = tuple(f"the sun is {word} {'ab' * number}" for number in range(1, 41) for word in ("tall", "sunny"))
TEXT = Corpus("made", texts=LINES)


def test_every_line_is_on_one_side_in_order_with_a_separator_behind(tmp_path: Path) -> None:
    tokenizer = bert_tokenizer()
    _, streams = token_streams(TEXT, tokenizer, 0.3, tmp_path / "t", Observer())
    for part, wanted in (("train", False), ("held_out", True)):
        lines = [line for line in LINES if is_held_out(line, 0.3) == wanted]
        expected = [i for line in lines for i in [*tokenizer(line, add_special_tokens=False)["input_ids"], 3]]
        assert streams[part].ids.tolist() == expected
        assert isinstance(streams[part].ids, np.memmap)
    assert list(TrainLines(TEXT, 0.3).lines()) == [line for line in LINES if not is_held_out(line, 0.3)]


@pytest.mark.parametrize("tokenizer", [bert_tokenizer(), roberta_tokenizer()], ids=["wordpiece", "bytes"])
def test_starts_are_the_words(tokenizer, tmp_path: Path) -> None:
    _, streams = token_streams(Corpus("m", texts=LINES), tokenizer, 0.3, tmp_path, Observer())
    stream = streams["train"]
    first = next(line for line in LINES if not is_held_out(line, 0.3))
    end = stream.ids.tolist().index(tokenizer.sep_token_id)
    pieces = tokenizer.convert_ids_to_tokens(stream.ids[:end].tolist())
    begins = np.flatnonzero(stream.starts[: end + 1])
    assert begins[-1] == end, "the separator is a word by itself"
    words = ["".join(p.removeprefix("##") for p in pieces[a:b]) for a, b in pairwise(begins)]
    assert " ".join(words).replace("Ġ", "").split() == first.split()


def test_streams_are_read_again_only_where_nothing_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    plain = module._write
    monkeypatch.setattr(module, "_write", lambda *args: (written.append(args[0].name), plain(*args)))
    ids = [
        token_streams(corpus, tokenizer, share, tmp_path, Observer())[0]
        for corpus, tokenizer, share in (
            (TEXT, bert_tokenizer(), 0.3),
            (TEXT, bert_tokenizer(), 0.3),
            (TEXT, bert_tokenizer(), 0.4),
            (TEXT, roberta_tokenizer(), 0.4),
            (Corpus("other", texts=(*LINES, "more")), roberta_tokenizer(), 0.4),
        )
    ]
    assert written == ["made", "made", "made", "other"]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_too_few_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no line is left"):
        token_streams(Corpus("m", texts=("one line",)), bert_tokenizer(), 0.5, tmp_path, Observer())


@given(st.floats(0, 1), st.text(max_size=20))
def test_a_larger_share_holds_out_more(share: float, line: str) -> None:
    assert is_held_out(line, share) <= is_held_out(line, min(1.0, share + 0.1))


def test_the_share_is_about_what_was_asked_for() -> None:
    out = sum(is_held_out(f"line {i}", 0.2) for i in range(5000))
    assert 850 < out < 1150

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from welltuned.data.corpus import Corpus
from welltuned.errors import UsageError
from welltuned.tokenizing.learning import learn, trained

TEXT = Corpus("made", texts=("low low low low lower newest newest widest", "the Lowest of the Widest towers é"))


@pytest.mark.parametrize(
    ("kind", "size", "ends"), [("bpe", 300, ("<s>", "</s>")), ("wordpiece", 60, ("[CLS]", "[SEP]"))]
)
def test_saved_ones_open_as_fast_tokenizers(kind: str, size: int, ends: tuple[str, str], tmp_path: Path) -> None:
    record = learn(TEXT, kind, size, False, tmp_path / "t", "welltuned ...")
    assert record.vocabulary <= size
    assert record.lines == 2
    opened = AutoTokenizer.from_pretrained(tmp_path / "t")
    assert opened.is_fast
    assert len(opened) == record.vocabulary
    ids = opened("the lowest", "tower")["input_ids"]
    pieces = opened.convert_ids_to_tokens(ids)
    assert (pieces[0], pieces[-1]) == ends
    assert opened.decode(ids, skip_special_tokens=True).replace(" ", "") == "thelowesttower"
    assert {opened.mask_token, opened.pad_token} <= set(opened.get_vocab())


def test_the_first_merge_is_of_the_most_frequent_neighbours(tmp_path: Path) -> None:
    record = learn(Corpus("made", texts=("ab ab ab ab ac",)), "bpe", 263, False, tmp_path, "")
    assert record.first[0] in ("a+b", "Ġ+a")
    assert record.vocabulary == 263


@pytest.mark.parametrize(("cased", "same"), [(False, True), (True, False)])
def test_capitals_are_kept_where_asked_for(cased: bool, same: bool) -> None:
    tokenizer = trained(TEXT, "wordpiece", 80, cased)
    assert (tokenizer.tokenize("Widest") == tokenizer.tokenize("widest")) == same


def test_every_process_learns_the_same() -> None:
    code = (
        "import hashlib\n"
        "from welltuned.data.corpus import Corpus\n"
        "from welltuned.tokenizing.learning import trained\n"
        "text = Corpus('made', texts=('the quick brown fox jumps over the lazy dog again and again',) * 3)\n"
        "for kind, size in (('wordpiece', 70), ('bpe', 290)):\n"
        "    print(hashlib.sha256(trained(text, kind, size).backend_tokenizer.to_str().encode()).hexdigest())\n"
    )
    found = {subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout for _ in range(2)}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("kind", "size", "match"), [("bpe", 260, "all 256 bytes"), ("wordpiece", 12, "every character"), ("x", 99, "kind")]
)
def test_what_cannot_be_trained(kind: str, size: int, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        trained(TEXT, kind, size)


def test_only_an_older_tokenizer_is_replaced(tmp_path: Path) -> None:
    """A comparison has a ``results.json`` too, and does not go for it."""
    for _ in range(2):
        learn(TEXT, "bpe", 300, False, tmp_path / "t", "")
    (tmp_path / "comparison").mkdir()
    kept = tmp_path / "comparison" / "results.json"
    kept.write_text('{"kind": "comparison"}')
    with pytest.raises(UsageError, match="this folder holds something else"):
        learn(TEXT, "bpe", 300, False, tmp_path / "comparison", "")
    assert kept.read_text() == '{"kind": "comparison"}'

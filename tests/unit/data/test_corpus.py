from __future__ import annotations

from pathlib import Path

import pytest

from welltuned.data import corpus as module
from welltuned.data import load_dataset
from welltuned.data.corpus import read_corpus
from welltuned.errors import DataError
from welltuned.spec import DataSpec


def read(path: Path | str) -> module.Corpus:
    return read_corpus(DataSpec(source=str(path)))


def test_a_text_file_gives_its_lines_without_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("\ufeffone  two \n\n   \nthree", encoding="utf-8")
    corpus = read(path)
    assert corpus.name == "a"
    assert list(corpus.lines()) == list(corpus.lines()) == ["one  two", "three"]


def test_a_folder_gives_its_files_in_order_and_leaves_out_a_test_file(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name, text in (("b/z.txt", "last"), ("a.txt", "first"), ("test.txt", "secret"), ("note.md", "no")):
        (tmp_path / name).write_text(text)
    corpus = read(tmp_path)
    assert list(corpus.lines()) == ["first", "last"]
    assert any("test.txt" in note for note in corpus.notes)


def test_a_data_set_gives_the_passages_of_its_train_split_alone() -> None:
    corpus = read("builtin:yesno")
    dataset = load_dataset(DataSpec(source="builtin:yesno"))
    lines = list(corpus.lines())
    assert lines == list(dict.fromkeys(dataset.train.pair or ()))
    assert not set(lines) & set(dataset.test.pair or ())
    assert not set(lines) & set(dataset.dev.pair or ())


def test_content_decides_the_hash(tmp_path: Path) -> None:
    one, two = tmp_path / "a.txt", tmp_path / "b.txt"
    one.write_text("same")
    two.write_text("same")
    assert read(one).hash == read(two).hash
    two.write_text("other")
    assert read(one).hash != read(two).hash


def test_long_lines_are_cut_at_spaces_and_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 10)
    words = "a bcd efghi jk lmnopq rstuvwxy z " * 5
    (tmp_path / "a.txt").write_text(f"{words}\nshort\n{'x' * 25} y")
    lines = list(read(tmp_path / "a.txt").lines())
    assert " ".join(lines).split()[: len(words.split())] == words.split()
    assert "short" in lines
    assert "".join(lines).replace(" ", "").endswith("x" * 25 + "y")


@pytest.mark.parametrize(
    ("content", "match"), [(b"", "no text"), (b" \n \n", "no text"), (b"ok\n\xff\xfe\n", "not UTF-8")]
)
def test_what_is_no_text(content: bytes, match: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=match):
        list(read(tmp_path / "a.txt").lines())


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "a.txt")

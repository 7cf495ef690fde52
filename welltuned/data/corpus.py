"""Running text for tokenizers and pretraining: a text file, a folder of them, or the passages of a data set's train
split.

Files are read line by line and never held whole. Of a data set with labels only the train split is read, so that no
model has seen the texts that it will be tested on.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from welltuned.data.load import load_dataset
from welltuned.data.sources import SPLITS, place
from welltuned.errors import DataError
from welltuned.spec import DataSpec

SUFFIX = ".txt"
LONGEST = 1 << 16
"""Characters of a line that are read at once; a longer line is cut, at a space where there is one."""


@dataclass(frozen=True)
class Corpus:
    """Lines of text, to be read as often as needed.

    Attributes:
        name: what the source is called in tables.
        files: text files in reading order; empty where the lines come from a data set.
        texts: the lines themselves, where they come from a data set.
        notes: what was left out, in sentences said to the user.
    """

    name: str
    files: tuple[Path, ...] = ()
    texts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """Every line that is more than white space, without its ends' white space.

        Raises:
            DataError: a file cannot be read, or is not UTF-8.
        """
        yield from (text.strip() for text in self.texts if text.strip())
        for path in self.files:
            yield from _lines_of(path)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over all content, in reading order."""
        digest = hashlib.sha256()
        for text in self.texts:
            content = text.encode(errors="surrogatepass")
            digest.update(len(content).to_bytes(8, "big") + content)
        for path in self.files:
            try:
                digest.update(path.stat().st_size.to_bytes(8, "big"))
                with path.open("rb") as file:
                    while piece := file.read(1 << 22):
                        digest.update(piece)
            except OSError as error:
                raise _unreadable(path, error) from error
        return digest.hexdigest()


def read_corpus(spec: DataSpec) -> Corpus:
    """The text that a source means.

    Args:
        spec: its source is a ``.txt`` file, a folder of them (below it too), or a data set as elsewhere.

    Raises:
        DataError: there is no text there, or it cannot be read.
    """
    path = place(spec.source)
    if path.is_file() and path.suffix.lower() == SUFFIX:
        return _read(Corpus(path.stem, (path,)))
    if path.is_dir() and (found := sorted(file for file in path.rglob("*") if file.suffix.lower() == SUFFIX)):
        kept = tuple(file for file in found if file.stem.lower() not in SPLITS["test"])
        left = [str(file.relative_to(path)) for file in found if file not in kept]
        notes = (f"left out, as the name says that it is a test split: {', '.join(left)}",) if left else ()
        return _read(Corpus(path.resolve().name, kept, notes=notes))
    return _read(_of_dataset(spec))


def _read(corpus: Corpus) -> Corpus:
    for path in corpus.files:
        try:
            regular = stat.S_ISREG(path.stat().st_mode)
        except OSError as error:
            raise _unreadable(path, error) from error
        if not regular:
            raise DataError(
                "not a regular file", where=str(path), why="a pipe or a device may never end",
                mend="write the text to a file first, or take it out of the folder",
            )  # fmt: skip
    if next(corpus.lines(), None) is None:
        raise DataError("there is no text to learn from", where=corpus.name, mend="name a file with lines of text")
    return corpus


def _of_dataset(spec: DataSpec) -> Corpus:
    dataset = load_dataset(spec)
    rows = dataset.train
    texts = tuple(dict.fromkeys(rows.text if rows.pair is None else rows.pair))
    column = dataset.columns.text_pair or dataset.columns.text
    note = f"{len(texts):,} different texts of column {column!r} in the train split are read; dev and test are not"
    return Corpus(dataset.name, texts=texts, notes=(*dataset.notes, note))


def _lines_of(path: Path) -> Iterator[str]:
    number, rest = 0, ""
    try:
        with path.open(encoding="utf-8-sig") as file:
            while piece := file.readline(LONGEST):
                number += 1
                whole, rest = _cut(rest + piece)
                if whole:
                    yield whole
        if rest.strip():
            yield rest.strip()
    except UnicodeDecodeError as error:
        raise DataError(
            "this text is not UTF-8",
            where=f"{path}, after line {number}",
            why=f"byte {error.object[error.start]:#04x} does not belong there",
            mend=f"convert it, such as with: iconv -f latin1 -t utf-8 {path.name}",
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        "cannot read this file", where=str(path), why=error.strerror or str(error),
        mend=f"chmod u+r {path.name}, or take it out of the folder",
    )  # fmt: skip


def _cut(piece: str) -> tuple[str, str]:
    """What of a piece is a line by itself, and what must wait for the piece after it."""
    if piece.endswith("\n") or len(piece) < LONGEST:
        return piece.strip(), ""
    whole, space, rest = piece.rpartition(" ")
    return (whole.strip(), rest) if space else (piece, "")

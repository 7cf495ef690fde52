"""Text as one stream of tokens on disk, read through memory maps, so that it may be larger than memory.

Files of a tokens folder, for each part ("train", "held_out")::

    PART.ids      [N] int32   token ids; every line ends in the separator
    PART.starts   [N] uint8   1 where a word begins
    tokens.json   what they were made from
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from welltuned.data.corpus import Corpus
from welltuned.errors import DataError
from welltuned.progress import Observer
from welltuned.record import whole_folder
from welltuned.tokenizing.fitting import chunks

PARTS = ("train", "held_out")


@dataclass(frozen=True)
class Stream:
    """A part's tokens.

    Attributes:
        ids: [N] int32, mapped from disk.
        starts: [N] uint8, 1 where a word begins.
    """

    ids: NDArray[np.int32]
    starts: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.ids)


def token_streams(
    corpus: Corpus, tokenizer: Any, held_out: float, folder: Path, observer: Observer
) -> tuple[str, dict[str, Stream]]:
    """The streams of both parts, written on first use, and an id of what they were made from.

    A line is held out or not by its own content, so equal lines are never on both sides.

    Args:
        held_out: share of lines.
        folder: where the files are, or are to be.

    Raises:
        DataError: one of the parts is empty.
    """
    identity = _identity(corpus, tokenizer, held_out)
    said = folder / "tokens.json"
    if not said.is_file() or json.loads(said.read_bytes())["id"] != identity:
        observer.stage("tokenizing", 0)
        with whole_folder(folder) as draft:
            _write(corpus, tokenizer, held_out, draft, observer)
            (draft / said.name).write_text(json.dumps({"id": identity, "text": corpus.name}) + "\n")
    return identity, {part: _open(folder, part, corpus) for part in PARTS}


@dataclass(frozen=True)
class TrainLines:
    """The lines of a text that are not held out."""

    corpus: Corpus
    held_out: float

    def lines(self) -> Iterator[str]:
        """Every line that may be trained on."""
        return (line for line in self.corpus.lines() if not is_held_out(line, self.held_out))


def is_held_out(line: str, share: float) -> bool:
    """Whether a line is held out: a function of its content alone."""
    digest = hashlib.blake2b(line.encode(errors="surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2.0**64


def _identity(corpus: Corpus, tokenizer: Any, held_out: float) -> str:
    parts = (corpus.hash, tokenizer.backend_tokenizer.to_str(), repr(held_out))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _write(corpus: Corpus, tokenizer: Any, held_out: float, folder: Path, observer: Observer) -> None:
    with ExitStack() as stack:
        files = {
            part: [stack.enter_context((folder / f"{part}.{kind}").open("wb")) for kind in ("ids", "starts")]
            for part in PARTS
        }
        for chunk in chunks(corpus.lines()):
            for line, (ids, starts) in zip(chunk, _encoded(chunk, tokenizer), strict=True):
                into = files["held_out" if is_held_out(line, held_out) else "train"]
                into[0].write(ids.tobytes())
                into[1].write(starts.tobytes())
            observer.advance(len(chunk))


def _encoded(lines: list[str], tokenizer: Any) -> Iterator[tuple[NDArray[np.int32], NDArray[np.uint8]]]:
    """Each line's ids, the separator last, and where its words begin."""
    encoded = tokenizer(lines, add_special_tokens=False, verbose=False, return_attention_mask=False)
    for at, ids in enumerate(encoded["input_ids"]):
        words = [-1 if word is None else word for word in encoded.word_ids(at)]
        starts = np.ones(len(ids) + 1, np.uint8)
        starts[1:-1] = np.diff(words) != 0 if len(words) > 1 else starts[1:-1]
        yield np.array([*ids, tokenizer.sep_token_id], np.int32), starts


def _open(folder: Path, part: str, corpus: Corpus) -> Stream:
    path = folder / f"{part}.ids"
    if not path.stat().st_size:
        raise DataError(
            f"no line is left for the {part.replace('_', '-')} part",
            where=corpus.name,
            why="lines are held out whole, by their content, and this text has few",
            mend="give more lines, or another --held-out share",
        )
    return Stream(np.memmap(path, np.int32, "r"), np.memmap(path.with_suffix(".starts"), np.uint8, "r"))

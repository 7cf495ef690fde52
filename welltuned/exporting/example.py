"""Answer texts with the model in this folder (model.onnx, export.json and tokenizer.json beside this file).

    python example.py "is it so" "It is so."    # a question and a passage, for a model of pairs
    python example.py "a text"                  # for a model of single texts
    python example.py < rows.tsv                # one row a line, a tab between two texts
    python example.py --help

Prints one JSON object a row: the label, and the probability of every label. Leaves with 2 where the texts are not as
the model reads them, and with 3 where something is missing here or cannot be read.

Needs two packages and what they bring along: pip install onnxruntime tokenizers
Import it to use `Model(folder).answers(rows)` in a program.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import NoReturn

HELP = __name__ == "__main__" and sys.argv[1:] in (["-h"], ["--help"])
if HELP:
    print(__doc__)
    sys.exit()

try:
    import numpy as np
    import onnxruntime
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
except ImportError as error:
    if __name__ != "__main__":
        raise
    print(f"error: {error.name} is not installed\n  mend: pip install onnxruntime tokenizers", file=sys.stderr)
    sys.exit(3)


class Model:
    """The graph with its tokenizer and labels."""

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.told = json.loads((folder / "export.json").read_text(encoding="utf-8"))
        self.labels: list[str] = self.told["labels"]
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()

    def encoded(self, rows: list[list[str]]) -> dict[str, NDArray[np.int64]]:
        """[B, T] arrays by the names of the graph's inputs; of a pair only the second text is cut."""
        most, pairs = self.told["max_length"], self.told["columns"] == 2
        if pairs:
            half = max(1, (most - self.tokenizer.num_special_tokens_to_add(True)) // 2)
            rows = [[self._shortened(first, half), second] for first, second in rows]
        self.tokenizer.enable_truncation(most, strategy="only_second" if pairs else "longest_first")
        found = self.tokenizer.encode_batch([tuple(row) for row in rows] if pairs else [row[0] for row in rows])
        self.tokenizer.no_truncation()
        shape = (len(found), max(len(one.ids) for one in found))
        ids = np.full(shape, self.told["pad_id"], np.int64)
        mask, types = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for at, one in enumerate(found):
            length = len(one.ids)
            ids[at, :length], mask[at, :length], types[at, :length] = one.ids, 1, one.type_ids
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return {name: given[name] for name in self.told["inputs"]}

    def _shortened(self, text: str, limit: int) -> str:
        """A first text of more tokens than half of the room, cut before the token that is too many."""
        offsets = self.tokenizer.encode(text, add_special_tokens=False).offsets
        return text[: offsets[limit][0]].rstrip() if len(offsets) > limit else text

    def logits(self, rows: list[list[str]]) -> NDArray[np.float32]:
        """[B, C] float32, in the order of `labels`; in int8 row by row, so that none depends on those beside it."""
        if self.told["precision"] == "int8" and len(rows) > 1:
            return np.concatenate([self.logits([row]) for row in rows])
        logits: NDArray[np.float32] = self.session.run(["logits"], self.encoded(rows))[0]
        return logits

    def answers(self, rows: list[list[str]]) -> list[dict[str, object]]:
        """The label of each row, and the probability of every label."""
        logits = self.logits(rows)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probabilities": dict(zip(self.labels, map(float, row), strict=True)),
            }
            for row in shares
        ]


def _refuse(code: int, what: str, why: str, mend: str) -> NoReturn:
    print(f"error: {what}\n  why:  {why}\n  mend: {mend}", file=sys.stderr)
    sys.exit(code)


def _lines() -> list[tuple[str, list[str]]]:
    """Each row of stdin with its place."""
    try:
        lines = sys.stdin.buffer.read().decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        _refuse(3, "stdin: this is not text in UTF-8", error.reason, "convert it with iconv first")
    return [(f"line {at}", line.rstrip("\r").split("\t")) for at, line in enumerate(lines, 1) if line.strip()]


def main() -> None:
    """Answer the texts of the command line, or the lines of stdin."""
    texts = sys.argv[1:]
    if not texts and sys.stdin.isatty():
        print(__doc__)
        return
    folder = Path(__file__).parent
    for name in ("export.json", "model.onnx", "tokenizer.json"):
        if not (folder / name).is_file():
            why = "this script answers with the files that were exported with it"
            _refuse(3, f"{folder / name} is missing", why, "copy the whole folder of the export")
    model = Model(folder)
    found = [("command line", texts)] if texts else _lines()
    needed = model.told["columns"]
    for place, row in found:
        if len(row) != needed:
            mend = "give a question and a passage (on stdin, a tab between them)" if needed == 2 else "give one text"
            reads = "pairs of texts" if needed == 2 else "single texts"
            texts_here = f"{len(row)} text{'' if len(row) == 1 else 's'}"
            _refuse(2, f"{place}: {texts_here} in a row of {needed}", f"the model reads {reads}", mend)
    rows = [row for _, row in found]
    for answer in model.answers(rows) if rows else []:
        print(json.dumps(answer, ensure_ascii=False))


if __name__ == "__main__":
    main()

"""Answers of a finished run for new texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from welltuned import artifact
from welltuned.batches import sorted_batches, tokenize
from welltuned.data.dataset import Split
from welltuned.errors import DataError, UsageError
from welltuned.opening import below
from welltuned.record import RunRecord, SearchRecord, read_comparison, read_record, read_run, results_kind


@dataclass(frozen=True)
class Answer:
    """One row's answer: the label, and every label's probability; ``truncated`` if the model did not see all."""

    label: str
    probabilities: dict[str, float]
    truncated: bool


def run_folder(folder: Path) -> Path:
    """The run that a folder means: itself, the winning run of a comparison, or the chosen one of a search.

    Raises:
        DataError: there is no finished run, or the record names one elsewhere.
    """
    if (folder / "record.json").is_file():
        return folder
    if results_kind(folder) == "search":
        chosen = read_record(folder / "results.json", SearchRecord).winner.runs[0]
        return below(folder / "trials", chosen)
    record = read_comparison(folder)
    winner = next((row for row in record.table if row.name == record.winner and row.runs), None)
    if winner is None:
        raise DataError(
            "this comparison has no winner to answer with",
            where=str(folder),
            why=record.verdict,
            mend="name one of the folders below its runs/",
        )
    return below(folder / "runs", winner.runs[0])


class Predictor:
    """A finished run's model, ready to answer.

    Attributes:
        record: the run's record.
    """

    def __init__(self, folder: Path) -> None:
        """Open the model of a run folder or of a comparison's winner.

        Raises:
            DataError: there is no finished run, or its model is damaged.
        """
        self.folder = run_folder(folder)
        self.record: RunRecord = read_run(self.folder)
        self._model = artifact.load(self.folder / "model")
        self._tokenizer = artifact.load_tokenizer(self.folder / "model")

    @property
    def takes_pairs(self) -> bool:
        """Whether a row is a pair of texts."""
        return self.record.takes_pairs

    @torch.no_grad()
    def answers(self, texts: Sequence[str], pairs: Sequence[str] | None, batch_size: int = 64) -> list[Answer]:
        """Answer each row.

        Args:
            texts: [N] first texts (questions).
            pairs: [N] second texts (passages), or None for a model of single texts.

        Raises:
            UsageError: pairs where the model takes single texts, or the other way round.
        """
        if (pairs is not None) != self.takes_pairs:
            needs = "a question and a passage" if self.takes_pairs else "single texts"
            raise UsageError(f"this model was trained on {needs}", where="--input")
        if not texts:
            return []
        split = Split(tuple(texts), None if pairs is None else tuple(pairs), None, ("",) * len(texts))
        tokens = tokenize(split, self._tokenizer, self.record.spec.model.max_length)
        probabilities = torch.empty(len(texts), len(self.record.labels))
        for batch in sorted_batches(tokens, batch_size):
            types = {} if batch.types is None else {"token_type_ids": batch.types}
            logits = self._model(input_ids=batch.ids, attention_mask=batch.mask, **types).logits
            probabilities[batch.rows] = torch.softmax(logits.float(), dim=-1)
        return list(self._named(probabilities, tokens.cut.tolist()))

    def _named(self, probabilities: torch.Tensor, cut: list[bool]) -> Iterator[Answer]:
        labels = self.record.labels
        for row, truncated in zip(probabilities.tolist(), cut, strict=True):
            best = max(range(len(labels)), key=row.__getitem__)
            yield Answer(labels[best], dict(zip(labels, row, strict=True)), truncated)

"""A finished run, ready to answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from welltuned import artifact
from welltuned.predicting.exported import is_export, open_export
from welltuned.predicting.folders import run_folder
from welltuned.predicting.forward import Forward, TorchForward, logits_of
from welltuned.predicting.naming import Answer, named
from welltuned.predicting.reading import Reader
from welltuned.record import RunRecord, read_run


class Predictor:
    """The three steps from texts to answers of a finished run.

    Attributes:
        folder: the run's folder.
        record: the run's record.
        reader: texts -> token ids.
        forward: token ids -> logits.
    """

    def __init__(self, folder: Path) -> None:
        """Open the model of a run folder, of a comparison's winner, of a search's choice, or of an export.

        Raises:
            DataError: there is no finished run, or its model is damaged.
        """
        self.folder = run_folder(folder)
        self.record: RunRecord = read_run(self.folder)
        exported = is_export(self.folder)
        model = self.folder if exported else self.folder / "model"
        self.forward: Forward = open_export(model)[1] if exported else TorchForward(artifact.load(model))
        tokenizer = artifact.load_tokenizer(model)
        self.reader = Reader(tokenizer, self.record.spec.model.max_length, self.record.takes_pairs)

    @property
    def takes_pairs(self) -> bool:
        """Whether a row is a pair of texts."""
        return self.reader.takes_pairs

    def answers(self, texts: Sequence[str], pairs: Sequence[str] | None, batch_size: int = 64) -> list[Answer]:
        """Answer each row, in the order given.

        Args:
            texts: [N] first texts (questions).
            pairs: [N] second texts (passages), or None for a model of single texts.

        Raises:
            UsageError: pairs where the model takes single texts, or the other way round.
        """
        if not texts:
            return []
        tokens = self.reader.read(texts, pairs)
        logits = logits_of(self.forward, tokens, len(self.record.labels), batch_size)
        return named(self.record.labels, logits, tokens.cut.tolist())

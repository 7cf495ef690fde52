"""Whether an exported graph answers as the run's own model does, on the run's dev rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from welltuned import stats
from welltuned.batches import TokenizedSplit, tokenize
from welltuned.data import load_dataset
from welltuned.data.dataset import Split
from welltuned.data.sources import MEMORY
from welltuned.errors import DataError, WelltunedError
from welltuned.predicting import Forward, logits_of
from welltuned.record import RunRecord
from welltuned.record.export import Check

TOLERANCE = 1e-4
"""How far a logit of the graph in fp32 may be from torch's."""
BATCH = 32
MADE_UP = 32
LEVEL = 0.95

Labels = NDArray[np.int64]


def dev_rows(record: RunRecord) -> Split | None:
    """The dev rows of a run with their labels; None where they lay in memory.

    Raises:
        DataError: the data cannot be read any more, or has changed.
    """
    if record.spec.data.source.startswith(MEMORY):
        return None
    dataset = load_dataset(record.spec.data)
    if dataset.hash != record.provenance.data_hash:
        raise DataError(
            "the data is not that of the run any more",
            where=record.spec.data.source,
            why=f"its hash is {dataset.hash[:12]} and was {record.provenance.data_hash[:12]}",
            mend="restore the files: the export is checked on the run's dev rows",
        )
    return dataset.dev


def made_up(record: RunRecord) -> Split:
    """Rows of words that mean nothing, of all lengths; good enough to hold two computations against each other."""
    random = np.random.default_rng(0)
    words = np.array(["is", "it", "so", "the", "river", "seven", "answers", "unlikely", "?", "2024"])
    texts = tuple(" ".join(random.choice(words, random.integers(1, 8))) for _ in range(MADE_UP))
    most = record.spec.model.max_length
    long = tuple(" ".join(random.choice(words, random.integers(1, most))) for _ in range(MADE_UP))
    pair = long if record.takes_pairs else None
    return Split(texts if record.takes_pairs else long, pair, None, ("",) * MADE_UP)


class Subject:
    """The rows that an export is checked on, and what the run's own model says of them."""

    def __init__(self, record: RunRecord, model: Forward, tokenizer: object) -> None:
        rows = dev_rows(record)
        self.on_dev = rows is not None
        self.labels = None if rows is None else rows.label
        self.classes = len(record.labels)
        self.tokens: TokenizedSplit = tokenize(rows or made_up(record), tokenizer, record.spec.model.max_length)
        self.expected = logits_of(model, self.tokens, self.classes, BATCH)

    def check(self, whole: Forward, exported: Forward | None = None) -> Check:
        """Hold a graph in fp32 against the model, and what is exported in its place where that is another.

        Raises:
            WelltunedError: a logit of the graph in fp32 is further off than ``TOLERANCE``.
        """
        found = logits_of(whole, self.tokens, self.classes, BATCH)
        largest = float((found - self.expected).abs().max())
        if not largest <= TOLERANCE:
            raise WelltunedError(
                f"the graph does not compute what the model computes: a logit is off by {largest:.2g}",
                why=f"at most {TOLERANCE:g} is allowed",
                mend="report the model and the versions of torch, transformers and onnxruntime",
            )
        if exported is not None:
            found = logits_of(exported, self.tokens, self.classes, BATCH)
        if self.labels is None:
            same = f"no logit is off by more than {largest:.1e} on {len(self.tokens)} rows that were made up"
            return Check(on="made-up rows", rows=len(self.tokens), largest=largest, sentence=same)
        return self._judged(found, largest, self.labels, quantised=exported is not None)

    def _judged(self, found: torch.Tensor, largest: float, labels: Labels, quantised: bool) -> Check:
        said, before = (one.argmax(dim=1).numpy() for one in (found, self.expected))
        ours, theirs = said == labels, before == labels
        pair = stats.compare_pair(ours[None], theirs[None], LEVEL, deterministic_a=True, deterministic_b=True)
        low, high = pair.interval.lower, pair.interval.upper
        sentence = f"no logit is off by more than {largest:.1e} on the {len(labels):,} dev rows"
        if quantised:
            sentence = (
                f"int8: {ours.mean():.1%} of {len(labels):,} dev rows are right, {theirs.mean():.1%} before; "
                f"difference {100 * pair.difference:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}], "
                f"the same answer to {(said == before).mean():.1%} of rows"
            )
        return Check(
            on="dev",
            rows=len(labels),
            largest=largest,
            accuracy=float(ours.mean()),
            accuracy_torch=float(theirs.mean()),
            agree=float((said == before).mean()),
            difference=pair.difference,
            low=low,
            high=high,
            level=LEVEL,
            sentence=sentence,
        )

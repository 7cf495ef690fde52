"""A service of models that cost nothing to make and whose answers are known."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from families import FAMILIES
from starlette.testclient import TestClient
from torch import Tensor

from welltuned.batches import Batch
from welltuned.predicting import Predictor, Reader
from welltuned.serving.application import Service
from welltuned.serving.limits import Limits
from welltuned.serving.models import Models, Served

POISON = "xyzzy"
"""A text at which the model fails."""
NAN = "zzz"
"""A text of which it makes no number."""


class Counting:
    """Says "long" of rows with more than ten tokens; waits for ``open`` in each batch and keeps its size."""

    def __init__(self, tokenizer: Any) -> None:
        self.open = threading.Event()
        self.open.set()
        self.begun = 0
        self.batches: list[tuple[int, int]] = []
        self._poison, self._nan = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (POISON, NAN))

    def __call__(self, batch: Batch) -> Tensor:
        self.begun += 1
        assert self.open.wait(20)
        self.batches.append((batch.ids.shape[0], batch.ids.shape[1]))
        rows = [str(row) for row in batch.ids.tolist()]
        if any(str(self._poison)[1:-1] in row for row in rows):
            raise RuntimeError("poison")
        logits = torch.stack([batch.mask.sum(1).float(), torch.full((len(batch),), 10.5)], 1)
        logits[[str(self._nan)[1:-1] in row for row in rows]] = torch.nan
        return logits


def served(name: str, takes_pairs: bool = True) -> Served:
    """A model whose rows are pairs, or single texts."""
    tokenizer = FAMILIES["bert"].tokenizer()
    spec = SimpleNamespace(model=SimpleNamespace(name="tiny", max_length=64), method=SimpleNamespace(name="none"))
    record = SimpleNamespace(
        name=name, spec=spec, labels=["long", "short"], takes_pairs=takes_pairs, dev_accuracy=0.5, trained_parameters=2
    )
    reader = Reader(tokenizer, 64, takes_pairs)
    predictor = SimpleNamespace(record=record, reader=reader, forward=Counting(tokenizer), takes_pairs=takes_pairs)
    return Served(name, cast(Predictor, predictor))


def forward_of(one: Served) -> Counting:
    return cast(Counting, one.predictor.forward)


def service_of(models: Sequence[Served], limits: Limits | None = None, key: str | None = None) -> Service:
    return Service(Models(models), limits or Limits(), key)


@pytest.fixture
def pair_model() -> Served:
    return served("pairs")


@pytest.fixture
def service(pair_model: Served) -> Iterator[Service]:
    """A started service of one model of pairs and one of single texts."""
    made = service_of([pair_model, served("single", takes_pairs=False)], Limits(characters=200, items=8, body=4096))
    made.start()
    yield made
    made.worker.stop(5)
    assert not made.worker.alive


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(service.asgi, raise_server_exceptions=False)

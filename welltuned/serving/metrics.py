"""What a server counts, in the words of Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from welltuned.batches import Batch

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server; its text is what GET /metrics says.

    Args:
        waiting: how many rows wait now.
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        here = self._registry
        self._requests = Counter(
            "welltuned_requests", "Requests answered, by path and status.", ["path", "status"], registry=here
        )
        self._seconds = Histogram(
            "welltuned_request_seconds",
            "Seconds from a request to its answer.",
            ["path"],
            buckets=SECONDS,
            registry=here,
        )
        self._rows = Counter(
            "welltuned_rows", "Rows of requests, by model and outcome.", ["model", "outcome"], registry=here
        )
        self._batch_rows = Histogram("welltuned_batch_rows", "Rows of a batch.", ["model"], buckets=ROWS, registry=here)
        self._batch_seconds = Histogram(
            "welltuned_batch_seconds",
            "Seconds that the model took for a batch.",
            ["model"],
            buckets=SECONDS,
            registry=here,
        )
        self._tokens = Counter("welltuned_tokens", "Tokens computed, padding apart.", ["model", "kind"], registry=here)
        Gauge("welltuned_waiting_rows", "Rows that wait now.", registry=here).set_function(waiting)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def rows(self, model: str, answered: int, failed: int) -> None:
        """Count the rows of a request."""
        self._rows.labels(model, "answered").inc(answered)
        self._rows.labels(model, "failed").inc(failed)

    @contextmanager
    def batch(self, model: str, batch: Batch) -> Iterator[None]:
        """Count a batch, and time what is done inside."""
        started = time.perf_counter()
        yield
        self._batch_seconds.labels(model).observe(time.perf_counter() - started)
        self._batch_rows.labels(model).observe(len(batch))
        real = int(batch.mask.sum())
        self._tokens.labels(model, "text").inc(real)
        self._tokens.labels(model, "padding").inc(batch.mask.numel() - real)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)

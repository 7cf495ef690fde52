"""The one thread that computes: it takes what waits, reads it, and answers it batch by batch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence

import numpy as np
import torch

from welltuned.batches import joined
from welltuned.predicting import named
from welltuned.serving.batching import together
from welltuned.serving.limits import Limits
from welltuned.serving.line import Line, Outcome, Ticket
from welltuned.serving.metrics import Metrics
from welltuned.serving.models import Served
from welltuned.serving.refusals import Told

logger = logging.getLogger(__name__)

UNREADABLE = Told(
    "this row cannot be read", where="this row", why="the model's tokenizer failed at its text",
    mend="look for characters that no text has",
)  # fmt: skip
FAILED = Told(
    "the model failed at this row", where="this row", why="its computation ended with an error, which the log has",
    mend="ask again; if it stays so, tell whoever runs this server",
)  # fmt: skip
NOT_FINITE = Told(
    "the model gave no finite number for this row", where="this row", why="its computation left the finite numbers",
    mend="tell whoever runs this server",
)  # fmt: skip
SMOOTHING = 0.1
"""Weight of the latest batch in the running mean of seconds a row."""


class Worker:
    """Answers a line's tickets until it is stopped; what fails at one row fails at that row alone."""

    def __init__(self, line: Line, limits: Limits, metrics: Metrics) -> None:
        self.line = line
        self._limits = limits
        self._metrics = metrics
        self._pool: list[Ticket] = []
        self._latest = 0  # rows of the latest batch
        self._thread = threading.Thread(target=self._run, name="welltuned-worker", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Finish the batch at hand and end; wait so long for it."""
        self.line.close()
        self._thread.join(seconds)

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._thread.is_alive()

    def warm(self, served: Served) -> None:
        """Compute one row, so that the first request does not wait for what is made once; before :meth:`start`."""
        reader = served.predictor.reader
        served.predictor.forward(reader.read(["a"], ["a"] if reader.takes_pairs else None).batch(np.arange(1)))

    def _run(self) -> None:
        while not self.line.closed:
            self._round()

    def _round(self) -> None:
        company = self._limits.window if self._latest > 1 and not self._pool else 0.0
        room = max(0, 4 * self._limits.rows - len(self._pool))
        arrived = self.line.take(room, 0.0 if self._pool else None, company)
        for served in dict.fromkeys(ticket.served for ticket in arrived):
            self._read(served, [ticket for ticket in arrived if ticket.served is served])
        self._pool += [ticket for ticket in arrived if ticket.tokens is not None]
        self._forget()
        if self._pool:
            self._answer(self._chosen())

    def _read(self, served: Served, tickets: Sequence[Ticket]) -> None:
        """Tokenize; a row that cannot be is told so and leaves."""
        reader = served.predictor.reader
        questions = [ticket.question for ticket in tickets]
        try:
            pairs = [one.pair or "" for one in questions] if reader.takes_pairs else None
            tokens = reader.read([one.text for one in questions], pairs)
            for i, ticket in enumerate(tickets):
                ticket.tokens = tokens.take(np.array([i]))
        except Exception:
            if len(tickets) > 1:
                for ticket in tickets:
                    self._read(served, [ticket])
                return
            logger.exception("a row cannot be read")
            self.line.begun(1)
            _deliver(tickets, [UNREADABLE])

    def _forget(self) -> None:
        """Drop tickets that nobody waits for any more."""
        wanted = [ticket for ticket in self._pool if not ticket.outcome.cancelled()]
        self.line.begun(len(self._pool) - len(wanted))
        self._pool = wanted

    def _chosen(self) -> list[Ticket]:
        """Take the next batch from the pool: rows of the model whose turn it is, by the oldest ticket."""
        served = self._pool[0].served
        same = [ticket for ticket in self._pool if ticket.served is served]
        lengths = [int(ticket.tokens.offsets[-1]) for ticket in same if ticket.tokens is not None]
        chosen = [same[i] for i in together(lengths, self._limits.tokens, self._limits.rows)]
        left = set(chosen)
        self._pool = [ticket for ticket in self._pool if ticket not in left]
        self.line.begun(len(chosen))
        return chosen

    def _answer(self, tickets: Sequence[Ticket]) -> None:
        started = time.monotonic()
        outcomes = self._outcomes(tickets)
        seconds = time.monotonic() - started
        self._latest = len(tickets)
        mean = self.line.seconds_a_row or seconds / len(tickets)
        self.line.seconds_a_row = (1 - SMOOTHING) * mean + SMOOTHING * seconds / len(tickets)
        _deliver(tickets, outcomes)

    def _outcomes(self, tickets: Sequence[Ticket]) -> list[Outcome]:
        """Compute a batch; where it fails, each row by itself."""
        predictor = tickets[0].served.predictor
        try:
            tokens = joined([ticket.tokens for ticket in tickets if ticket.tokens is not None])
            batch = tokens.batch(np.arange(len(tokens)))
            with self._metrics.batch(tickets[0].served.name, batch):
                logits = predictor.forward(batch)
        except Exception:
            if len(tickets) > 1:
                return [outcome for ticket in tickets for outcome in self._outcomes([ticket])]
            logger.exception("the model failed at a row")
            return [FAILED]
        finite = torch.isfinite(logits).all(dim=1).tolist()
        answers = named(predictor.record.labels, logits, tokens.cut.tolist())
        return [answer if sound else NOT_FINITE for answer, sound in zip(answers, finite, strict=True)]


def _deliver(tickets: Sequence[Ticket], outcomes: Sequence[Outcome]) -> None:
    """Hand outcomes over to the thread that waits for them; a loop that has ended waits no longer."""
    for ticket, outcome in zip(tickets, outcomes, strict=True):
        with contextlib.suppress(RuntimeError):
            ticket.outcome.get_loop().call_soon_threadsafe(_settle, ticket.outcome, outcome)


def _settle(waiting: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not waiting.done():
        waiting.set_result(outcome)

"""Rows that wait for their answers: a bounded line between the requests' thread and the one that computes."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from welltuned.batches import TokenizedSplit
from welltuned.predicting import Answer
from welltuned.serving.models import Served
from welltuned.serving.questions import Question
from welltuned.serving.refusals import Told, busy

Outcome = Answer | Told


@dataclass(eq=False)
class Ticket:
    """A row in the line.

    Attributes:
        outcome: where its answer, or what went wrong with it, is put; cancelled once nobody waits for it.
        tokens: the row alone, once it was read.
    """

    served: Served
    question: Question
    outcome: asyncio.Future[Outcome]
    tokens: TokenizedSplit | None = None
    since: float = field(default_factory=time.monotonic)


class Line:
    """Tickets, oldest first, never more than ``room``; requests join at one end, the computing thread takes from the
    other."""

    LONGEST_WAIT = 60

    def __init__(self, room: int) -> None:
        self.room = room
        self.seconds_a_row = 0.0
        self._tickets: deque[Ticket] = deque()
        self._taken = 0  # and not yet begun
        self._closed = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._tickets) + self._taken

    def join(self, tickets: Sequence[Ticket]) -> None:
        """Put all of a request's rows into the line, or none.

        Raises:
            Refusal: there is no room for them (429), with the seconds after which there should be.
        """
        with self._changed:
            if len(self) + len(tickets) > self.room:
                raise busy(self.wait())
            self._tickets.extend(tickets)
            self._changed.notify()

    def wait(self) -> int:
        """Whole seconds until what waits now should be answered, from 1 to a minute."""
        return min(max(1, math.ceil(len(self) * self.seconds_a_row)), self.LONGEST_WAIT)

    def take(self, most: int, patience: float | None, company: float = 0.0) -> list[Ticket]:
        """The oldest tickets, ``most`` at most; those that nobody waits for any more are dropped.

        Args:
            most: how many.
            patience: seconds to wait for a first one; None for as long as it takes.
            company: seconds to wait for ``most`` of them, once there is one.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._tickets or self._closed, patience)
            if company and self._tickets:
                self._changed.wait_for(lambda: len(self._tickets) >= most or self._closed, company)
            taken = [self._tickets.popleft() for _ in range(min(most, len(self._tickets)))]
            wanted = [ticket for ticket in taken if not ticket.outcome.cancelled()]
            self._taken += len(wanted)
            return wanted

    def begun(self, tickets: int) -> None:
        """So many of the tickets taken wait no longer."""
        with self._changed:
            self._taken -= tickets

    def close(self) -> None:
        """Let the thread that takes wait no longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether nothing more will be taken."""
        return self._closed

"""What a server takes at most, of one request and of all."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds; beyond them a request is refused with a reason, never half done.

    Attributes:
        body: bytes of a request's body; beyond, 413.
        items: rows of one request; beyond, 422.
        characters: of one text; beyond, the row has an error in its answer's place.
        seconds: from a request's first byte of body to its answer; beyond, 408.
        queue: rows that wait at once, over all requests and models; beyond, 429.
        requests: requests that are read or answered at once; beyond, 429.
        drain: seconds that a server told to stop gives the requests it has.
        tokens: of one batch, padding included.
        rows: of one batch; 1 answers one row at a time.
        window: seconds to wait for more rows, while batches of several rows are the rule.
    """

    body: int = 1 << 20
    items: int = 64
    characters: int = 20_000
    seconds: float = 30.0
    queue: int = 512
    requests: int = 256
    drain: float = 30.0
    tokens: int = 2048
    rows: int = 64
    window: float = 0.002

    def __post_init__(self) -> None:
        if self.items > self.queue:
            raise ValueError("the queue must have room for the items of one request")

"""Why something is not answered, told to the client as every error of Welltuned is: what, where, why, mend."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Told:
    """An error that a client can act on; it never repeats more of the request than a short, printable piece.

    Attributes:
        what: what is wrong.
        where: the place in the request, such as ``items[3].text``, or the part of the server.
        why: the cause, or the rule that is not kept.
        mend: what the client can do.
    """

    what: str
    where: str
    why: str
    mend: str


@dataclass
class Refusal(Exception):  # noqa: N818
    """A whole request that is not answered."""

    status: int
    told: Told
    headers: dict[str, str] = field(default_factory=dict)


def quoted(value: str) -> str:
    """A piece of a request, short and in printable ASCII."""
    shown = ascii(value[:40])
    return shown if len(value) <= 40 else f"{shown[:-1]}...{shown[-1]}"


def busy(seconds: int) -> Refusal:
    """Refuse for want of room, for now."""
    told = Told(
        "too much is waiting already",
        where="the line of this server",
        why="it takes no more than it can answer in time",
        mend=f"ask again in {seconds} s, or fewer at once",
    )
    return Refusal(429, told, {"Retry-After": str(seconds)})


def stopping() -> Refusal:
    """Refuse because the server is about to stop."""
    told = Told(
        "this server is stopping",
        where="this server",
        why="it was told to stop, and answers only what it has",
        mend="ask again in a moment, of the one that takes its place",
    )
    return Refusal(503, told, {"Retry-After": "5", "Connection": "close"})

"""Errors a person can act on: what happened, where, why, and how to mend it, each with its exit code."""

from __future__ import annotations

LONGEST = 1000
"""Characters of one part of a message; what is longer was put in by mistake, and is shown by its two ends."""


class WelltunedError(Exception):
    """Base of everything Welltuned raises on purpose.

    Args:
        what: one sentence, what went wrong.
        where: the place, as ``file:row`` or the name of an option.
        why: the cause, where it is not plain from ``what``.
        mend: what the person can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, why: str | None = None, mend: str | None = None) -> None:
        self.what, self.where, self.why, self.mend = what, where, why, mend
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """The whole error as text, one part a line."""
        what, where, why, mend = (_ends(part) for part in (self.what, self.where, self.why, self.mend))
        lines = [f"{where}: {what}" if where else what]
        if why:
            lines.append(f"  why:  {why}")
        if mend:
            lines.append(f"  mend: {mend}")
        return "\n".join(lines)


def _ends(part: str | None) -> str:
    if part is None or len(part) <= LONGEST:
        return part or ""
    return f"{part[: LONGEST // 2]} [...] {part[-LONGEST // 4 :]}"


class UsageError(WelltunedError):
    """The call itself is wrong: an unknown method, an option out of range."""

    exit_code = 2


class DataError(WelltunedError):
    """The data cannot be read or cannot be learned from."""

    exit_code = 3


class ResourceError(WelltunedError):
    """Memory, disk or permissions do not suffice."""

    exit_code = 4


class DivergedError(WelltunedError):
    """Training left the finite numbers."""

    exit_code = 5

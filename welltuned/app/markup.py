"""What the page says in words: notes, errors with their mends, and a wrapper so that nothing is ever shown raw."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from welltuned.errors import WelltunedError
from welltuned.report.markup import Markup, element, join

_P = ParamSpec("_P")


def framed(*parts: str) -> str:
    """Parts in the frame within which the report's style holds."""
    return element("div", *parts, class_="report")


def note(what: str, *more: str) -> Markup:
    """A plain remark: nothing is wrong."""
    return element("div", element("p", element("strong", what)), *(element("p", one) for one in more), class_="note")


def trouble(error: WelltunedError, what: str = "") -> Markup:
    """An error: what, where, why, and how to mend it."""
    lines = [element("p", element("strong", f"{what}: {error.what}" if what else error.what))]
    lines += [
        element("p", f"{name}: {text}")
        for name, text in (("Where", error.where), ("Why", error.why), ("To mend it", error.mend))
        if text
    ]
    return element("div", *lines, class_="note trouble", role="alert")


def told(draw: Callable[_P, str]) -> Callable[_P, str]:
    """The same function, with an error told on the page in place of its result."""

    @wraps(draw)
    def safe(*args: _P.args, **kwargs: _P.kwargs) -> str:
        try:
            return draw(*args, **kwargs)
        except Exception as error:
            return framed(trouble(as_ours(error)))

    return safe


def as_ours(error: Exception) -> WelltunedError:
    """Any error in our words; one that was not foreseen is printed where the page is served."""
    if isinstance(error, WelltunedError):
        return error
    traceback.print_exception(error)
    return WelltunedError(
        f"this did not work: {type(error).__name__}",
        why=str(error) or None,
        mend="the terminal where the page is served shows the details",
    )


def folded(heading: str, body: str) -> Markup:
    """A part that opens when asked."""
    return element("details", element("summary", heading), join([body]))

"""The body of a request -> questions; nothing that a body can hold does more than be refused."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from welltuned.serving.limits import Limits
from welltuned.serving.refusals import Refusal, Told, quoted

FIELDS = ("text", "text_pair")
BODY = "the body"
_KINDS = {str: "a text", list: "a list", dict: "an object", bool: "true or false", type(None): "null"}
"""What JSON calls them; anything else is a number."""


@dataclass(frozen=True)
class Asked:
    """A request as it stands: the model's name or None, and one item or several, each whatever JSON can say."""

    model: str | None
    items: list[Any]
    many: bool


@dataclass(frozen=True)
class Question:
    """One row to answer."""

    text: str
    pair: str | None


def asked(body: bytes, limits: Limits) -> Asked:
    """Read a body ``{"text": ..., "text_pair": ...}`` or ``{"items": [...]}``, each with a ``model`` if wanted.

    Raises:
        Refusal: it is not such a body (422).
    """
    document = _parsed(body)
    if not isinstance(document, dict):
        why = "a row, or several, stand in a JSON object by the names of their fields"
        raise _invalid("the body is not an object", BODY, why, 'send {"text": ...} or {"items": [{"text": ...}, ...]}')
    model = document.pop("model", None)
    if model is not None and not isinstance(model, str):
        why = "models are called by their names"
        raise _invalid("the model's name is not a text", "model", why, "name one that GET /models lists, or none")
    if "items" not in document:
        return Asked(model, [document], many=False)
    items = document.pop("items")
    if document:
        what = f"the field {quoted(next(iter(document)))} does not belong beside items"
        raise _invalid(what, BODY, "beside items only model is read", "leave it out")
    if not isinstance(items, list) or not 1 <= len(items) <= limits.items:
        many = isinstance(items, list) and bool(items)
        why = f"there are {len(items):,}" if isinstance(items, list) else "it is no list"
        mend = "send several requests" if many else 'send a list such as [{"text": ...}]'
        raise _invalid(f"items is not a list of 1 to {limits.items} rows", "items", why, mend)
    return Asked(model, items, many=True)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _invalid("the body is not UTF-8", f"byte {error.start}", error.reason, "encode it as UTF-8") from error
    except RecursionError as error:
        why = "a row is an object of texts, and items a list of such"
        raise _invalid("the body is nested too deep", BODY, why, "send texts, not structures") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _invalid("the body is not JSON", where, error.msg, "send one JSON object") from error
    except ValueError as error:  # a number of thousands of digits
        why = "it has thousands of digits"
        raise _invalid("a number is too long to be read", BODY, why, "send texts, not numbers") from error


def _no_number(name: str) -> NoReturn:
    raise _invalid(f"{name} is no JSON", BODY, "JSON knows finite numbers alone", "send texts, not numbers")


def question(item: Any, takes_pairs: bool, limits: Limits, where: str) -> Question | Told:
    """One item as a row that a model can read, or what is wrong with it.

    Args:
        item: whatever JSON can say.
        takes_pairs: whether the model's rows are pairs of texts.
        where: the item's place in the request.
    """
    if not isinstance(item, dict):
        kind = f"it is {_KINDS.get(type(item), 'a number')}"
        return Told("this is not an object with a text", where or BODY, kind, 'send {"text": ...}')
    wanted = FIELDS if takes_pairs else FIELDS[:1]
    reads = "pairs: a question and a passage" if takes_pairs else "single texts"
    dot = f"{where}." if where else ""
    for name in wanted:
        if wrong := _wrong(item.get(name), limits):
            what, why, mend = wrong
            mend = _renamed(item, wanted) or mend
            return Told(f"{name} {what}", f"{dot}{name}", why or f"this model reads {reads}", mend)
    for name, value in item.items():
        if name not in wanted and not (name in FIELDS and value is None):
            rule = f"this model reads {reads}, as {' and '.join(wanted)}"
            return Told(f"the field {quoted(name)} does not belong here", where or BODY, rule, "leave it out")
    return Question(item["text"], item["text_pair"] if takes_pairs else None)


def _renamed(item: dict[str, Any], wanted: tuple[str, ...]) -> str | None:
    """The mend where a row's texts stand under other names."""
    unknown = [name for name in item if name not in FIELDS]
    if not unknown or set(item) >= set(wanted):
        return None
    return f"call the fields {' and '.join(wanted)}, not {' and '.join(map(quoted, unknown[:2]))}"


def _wrong(value: Any, limits: Limits) -> tuple[str, str | None, str] | None:
    """What is wrong with a text, why where it is not that the model reads it, and how to mend it."""
    if value is None:
        return "is missing", None, "send it"
    if not isinstance(value, str):
        return "is not a text", f"it is {_KINDS.get(type(value), 'a number')}", "send it as a JSON string"
    if not value:
        return "is empty", None, "send a text"
    if len(value) > limits.characters:
        what = f"has {len(value):,} characters, more than {limits.characters:,}"
        return what, "so many this server takes of one text", "send its beginning"
    if "\0" in value:
        return "holds a null character", "no text has one, and no tokenizer reads it", "leave it out"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair", "alone it is no character", "send whole characters"
    return None


def _invalid(what: str, where: str, why: str, mend: str) -> Refusal:
    return Refusal(422, Told(what, where, why, mend))

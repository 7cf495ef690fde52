"""The shapes of requests and answers, as the OpenAPI document tells them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from welltuned.serving.limits import Limits
from welltuned.serving.models import Models


class Error(BaseModel):
    """What is wrong, where in the request, why, and what can be done about it."""

    what: str
    where: str
    why: str
    mend: str


class Problem(BaseModel):
    """A request, or one row of it, that is not answered."""

    error: Error


class RowAnswer(BaseModel):
    """One row's answer; ``truncated`` if the model did not see the whole text."""

    label: str
    probabilities: dict[str, float] = Field(description="Of every label, by name; they add up to 1.")
    truncated: bool


class OneAnswer(RowAnswer):
    """The answer to a single row, and the model that gave it."""

    model: str


class ManyAnswers(BaseModel):
    """Answers in the order of the rows; a row that could not be answered has its error in that place."""

    model: str
    answers: list[RowAnswer | Problem]
    failed: int = Field(description="How many rows have an error.")


class ModelTold(BaseModel):
    """A model that answers here; ``bytes`` are those of its tensors, ``shared_bytes`` those it has in common with
    models before it in the list."""

    name: str
    method: str
    base: str = Field(description="The pretrained model it was made of.")
    labels: list[str]
    takes_pairs: bool = Field(description="Whether a row needs text_pair.")
    max_length: int = Field(description="Tokens a row at most; what is beyond is cut off.")
    dev_accuracy: float
    trained_parameters: int
    bytes: int | None
    shared_bytes: int | None


class ModelsTold(BaseModel):
    """What is served; ``default`` answers where a request names no model."""

    default: str
    models: list[ModelTold]


class Status(BaseModel):
    """One word on how the server is."""

    status: str


EXAMPLE = ("is the moon made of cheese", "The Moon is made of rock.")


def request_body(models: Models, limits: Limits) -> dict[str, Any]:
    """OpenAPI's description of a body of /predict for these models, with examples."""
    kinds: dict[bool, list[str]] = {}
    for served in models:
        kinds.setdefault(served.predictor.takes_pairs, []).append(served.name)
    default = models.find(None)
    pairs = default.predictor.takes_pairs
    row = dict(zip(("text", "text_pair"), EXAMPLE if pairs else EXAMPLE[:1], strict=False))
    schemas = [
        shape
        for kind, names in kinds.items()
        for shape in _bodies(_row(kind, limits), names, default.name in names, limits)
    ]
    examples = {
        "one": {"summary": "One row", "value": row},
        "many": {"summary": "Several rows, of a model named", "value": {"model": default.name, "items": [row, row]}},
    }
    content = {"application/json": {"schema": {"anyOf": schemas}, "examples": examples}}
    return {"required": True, "description": "One row, or several as items.", "content": content}


def _row(pairs: bool, limits: Limits) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": limits.characters, "pattern": "^[^\\u0000]*$"}
    first = {**text, "description": "The text; of a pair, the question."}
    second = {**text, "description": "The second text of a pair: the passage."} if pairs else {"type": "null"}
    required = ["text", "text_pair"] if pairs else ["text"]
    return {"properties": {"text": first, "text_pair": second}, "required": required}


def _bodies(row: dict[str, Any], names: list[str], default: bool, limits: Limits) -> list[dict[str, Any]]:
    """The bodies for models of one kind: one row, or several."""
    model = {"type": ["string", "null"] if default else "string", "enum": [*names, None] if default else names}
    named = [] if default else ["model"]
    anything = {"description": "Anything else has an error in its answer's place."}
    items = {
        "type": "array",
        "minItems": 1,
        "maxItems": limits.items,
        "items": {"anyOf": [{"type": "object", "additionalProperties": False, **row}, anything]},
    }
    return [
        {
            "title": "One row",
            "type": "object",
            "properties": {"model": model, **row["properties"]},
            "required": [*named, *row["required"]],
            "additionalProperties": False,
        },
        {
            "title": "Several rows",
            "type": "object",
            "properties": {"model": model, "items": items},
            "required": [*named, "items"],
            "additionalProperties": False,
        },
    ]


def failures(limits: Limits) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's description of every refusal of /predict, each with an example as it is really told."""
    told = {
        408: f"No answer within {limits.seconds:g} s, the time to send the body included.",
        413: f"The body has more than {limits.body:,} bytes.",
        415: "The body is not said to be JSON.",
        422: "The body, or the only row in it, is not what a model here can read; the error says where.",
        429: f"{limits.queue} rows wait already, or {limits.requests} requests; Retry-After says for how long.",
        500: "The model failed at the only row.",
        503: "The server is stopping.",
    }
    return {status: {"model": Problem, "description": what} for status, what in told.items()}

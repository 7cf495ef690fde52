"""From a user's words to specs: ``lora:rank=16:lr=1e-3`` becomes a method, its config and its training options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from welltuned import methods
from welltuned.errors import UsageError
from welltuned.spec import ComputeSpec, DataSpec, MethodSpec, ModelSpec, RunSpec, ShapeSpec, TrainSpec

COMMON = ("seed", "overfit")
"""Training options that no single method of a comparison may have for itself."""


@dataclass(frozen=True)
class Candidate:
    """A method with its config and training options, by the name that tables give it."""

    name: str
    method: MethodSpec
    train: TrainSpec

    def run(self, data: DataSpec, model: ModelSpec, seed: int, compute: ComputeSpec) -> RunSpec:
        """The run of this candidate on a model with a seed."""
        train = self.train.model_copy(update={"seed": seed})
        return RunSpec(data=data, model=model, method=self.method, train=train, compute=compute)


def candidate(expression: str, options: Mapping[str, Any]) -> Candidate:
    """Read ``NAME[:FIELD=VALUE]...``.

    A field is one of the method's config or of training. What the expression leaves open comes from ``options``
    (those not None), then from the method's defaults.

    Raises:
        UsageError: no such method or field, or a value out of range.
    """
    name, *assignments = expression.strip().split(":")
    kind = methods.find(name)
    train: dict[str, Any] = {"lr": kind.defaults.lr, "epochs": kind.defaults.epochs}
    train |= {field: value for field, value in options.items() if value is not None}
    base = Candidate(name, MethodSpec(name=name, config=methods.config_of(name, {})), _train(train))
    values: dict[str, Any] = {}
    for assignment in assignments:
        field, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(
                f"{assignment!r} in {expression!r} has no value",
                where="--method",
                mend="write NAME:FIELD=VALUE, such as lora:rank=16:lr=1e-3",
            )
        values[field] = value
    return replace(varied(base, values), name=expression.strip())


def varied(base: Candidate, values: Mapping[str, Any]) -> Candidate:
    """The same candidate with other values of fields of its method's config or of training.

    Raises:
        UsageError: a field that the method does not have or that is common to all, or a value out of range.
    """
    for field in values:
        if field in COMMON:
            raise UsageError(
                f"{field} is common to all methods", where="--method", mend=f"use an option such as --{field}"
            )
    train = {field: value for field, value in values.items() if field in TrainSpec.model_fields}
    config = {field: value for field, value in values.items() if field not in train}
    name = ":".join([base.name, *(f"{field}={value}" for field, value in values.items())])
    method = MethodSpec(
        name=base.method.name, config=methods.config_of(base.method.name, {**base.method.config, **config})
    )
    return Candidate(name, method, _train({**base.train.model_dump(), **train}))


def _train(values: Mapping[str, Any]) -> TrainSpec:
    try:
        return TrainSpec(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]).replace("_", "-")
        raise UsageError(
            f"{first['input']!r} is no {field}", where=f"--{field}", why=first["msg"],
            mend="welltuned train --help says what it takes",
        ) from error  # fmt: skip


def candidates(expressions: str, options: Mapping[str, Any]) -> list[Candidate]:
    """Read a comma-separated list of expressions; each once."""
    found = [candidate(expression, options) for expression in expressions.split(",") if expression.strip()]
    if not found:
        mend = f"choose among {', '.join(methods.names())}"
        raise UsageError("no method is named", where="--methods", why="there is nothing to train", mend=mend)
    if len({one.name for one in found}) < len(found):
        why = "it would be trained twice and be beside itself in the table"
        raise UsageError("a method is named twice", where="--methods", why=why, mend="name each once")
    return found


def shape(expression: str) -> ShapeSpec:
    """Read ``FAMILY[:FIELD=VALUE]...``, such as ``roberta:layers=4:hidden=256:heads=4``.

    Raises:
        UsageError: no such family or field, or a value out of range.
    """
    family, *assignments = expression.strip().split(":")
    fields = dict(assignment.partition("=")[::2] for assignment in assignments)
    try:
        return ShapeSpec.model_validate({"family": family, **fields})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"{expression!r} is no shape",
            where="--shape",
            why=": ".join([*map(str, first["loc"]), first["msg"]]),
            mend="write bert or roberta with layers, hidden and heads, such as bert:layers=2:hidden=128:heads=2",
        ) from error

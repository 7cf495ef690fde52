"""What an exported model is, and how it was found to answer as the run's own model does."""

from __future__ import annotations

from typing import Literal

from welltuned.record.schema import SCHEMA, Schema


class Check(Schema):
    """The export beside the run's own model in torch, on the same rows.

    ``largest`` is the largest difference of a logit of the graph in fp32. Accuracies are shares in [0, 1];
    ``difference`` is that of the export minus torch's, ``low`` and ``high`` its paired interval at ``level``, ``agree``
    the share of rows with the same answer. All of these are None where rows with labels were not at hand.
    """

    on: Literal["dev", "made-up rows"]
    rows: int
    largest: float
    accuracy: float | None = None
    accuracy_torch: float | None = None
    agree: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    sentence: str


class ExportRecord(Schema):
    """``export.json``: all that a program needs beside ``model.onnx`` and ``tokenizer.json``.

    ``inputs`` are the graph's, [B, T] int64 each; its one output is ``logits`` [B, C] float32 in the order of
    ``labels``. Rows have at most ``max_length`` tokens, padded with ``pad_id``; ``columns`` is 2 for pairs of texts.
    """

    kind: Literal["onnx"] = "onnx"
    schema_version: int = SCHEMA
    run: str
    run_id: str
    labels: list[str]
    columns: int
    max_length: int
    pad_id: int
    inputs: list[str]
    precision: Literal["fp32", "int8"]
    opset: int
    bytes: int
    check: Check
    versions: dict[str, str]

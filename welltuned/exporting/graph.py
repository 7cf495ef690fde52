"""A model as one ONNX graph from token ids to logits, of any number of rows of any length."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from welltuned.errors import UsageError, WelltunedError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "logits"
_TALKATIVE = ("torch.onnx", "onnxscript", "onnx_ir", "root")
ROWS, TOKENS = 3, 7
"""Of the rows that the graph is traced with; both stay symbolic."""


class _Logits(nn.Module):
    """The model as a function of tensors alone."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """[B, T] each -> [B, C]."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask, **types).logits
        return logits


def require_exporter() -> None:
    """Refuse before any work where the extra is not installed.

    Raises:
        UsageError: says how to install it.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed",
            where="welltuned export",
            why="exports to ONNX need the extra of this name",
            mend="pip install 'welltuned[export]'",
        ) from error


def write_graph(model: PreTrainedModel, has_types: bool, path: Path) -> int:
    """Write the graph of a model in evaluation mode, and return its opset.

    Args:
        has_types: whether the model takes segment ids.

    Raises:
        WelltunedError: the model cannot be traced with a free number of rows and tokens.
    """
    names = INPUTS if has_types else INPUTS[:2]
    ids = torch.ones(ROWS, TOKENS, dtype=torch.int64)
    mask = ids.clone()
    mask[-1, -2:] = 0  # some padding, so that nothing is simplified away
    sample = dict(zip(names, (ids, mask, torch.zeros_like(ids)), strict=False))
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    with _quiet(), _written_out(model), torch.no_grad():
        program: Any = torch.onnx.export(
            _Logits(model).eval(),
            (),
            kwargs=sample,
            dynamo=True,
            dynamic_shapes={name: {0: batch, 1: length} for name in names},
            input_names=list(names),
            output_names=[OUTPUT],
            verbose=False,
        )
        program.save(str(path), external_data=False)
    graph = program.model.graph
    fixed = [one.name for one in graph.inputs if any(isinstance(size, int) for size in one.shape)]
    if fixed:
        raise WelltunedError(
            f"the graph would only take batches of {ROWS} rows or {TOKENS} tokens",
            why=f"its input {fixed[0]} has a fixed shape",
            mend="report the model and the versions of torch and transformers",
        )
    return int(graph.opset_imports[""])


def quantise(whole: Path, path: Path) -> None:
    """Write a graph whose matrices are int8, one scale a column; what flows through it is quantised as it runs."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(whole, path, weight_type=QuantType.QInt8, per_channel=True)


@contextlib.contextmanager
def _written_out(model: PreTrainedModel) -> Iterator[None]:
    """Let attention be traced as products and a softmax.

    The graph of torch's fused form looks for softmaxes without a number, which no row with a token has; that takes a
    quarter of the time of an int8 graph.
    """
    found = [
        (one, one.config._attn_implementation)
        for one in model.modules()
        if isinstance(one, PreTrainedModel) and getattr(one, "_supports_sdpa", False)
    ]
    try:
        for one, _ in found:
            one.set_attn_implementation("eager")
        yield
    finally:
        for one, before in reversed(found):
            one.set_attn_implementation(before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter says to its own developers is left unsaid."""
    loggers = [logging.getLogger(None if name == "root" else name) for name in _TALKATIVE]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)", category=FutureWarning)
            warnings.filterwarnings("ignore", message=r".*The axis name: ", category=UserWarning)
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)

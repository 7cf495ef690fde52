"""An exported model in the place of torch's: the same step from token ids to logits, in onnxruntime."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from welltuned.batches import Batch
from welltuned.errors import DataError, UsageError
from welltuned.opening import require_as_written, require_regular
from welltuned.record import read_record
from welltuned.record.export import ExportRecord

EXPORT = "export.json"
GRAPH = "model.onnx"


class OnnxForward:
    """A graph in onnxruntime, on as many threads as torch has.

    A graph in int8 finds the range of what flows through it over all that it is given at once, padding included. So
    that no row's answer depends on those beside it, such a graph is given every row by itself, at its own length: a row
    alone on all threads, several rows side by side on one thread each, which takes less time than one after the other.

    Args:
        graph: the file.
        alone: whether every row is given by itself.

    Attributes:
        inputs: the names of the graph's inputs.
    """

    def __init__(self, graph: Path, *, alone: bool = False) -> None:
        """Open a graph.

        Raises:
            UsageError: onnxruntime is not installed.
            DataError: no whole graph.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise UsageError(
                "onnxruntime is not installed", where=str(graph), mend="pip install 'welltuned[export]'"
            ) from error
        require_regular(graph)

        def session(threads: int) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            options.log_severity_level = 3
            # From bytes, so that a graph cannot name further files.
            return onnxruntime.InferenceSession(graph.read_bytes(), options, providers=["CPUExecutionProvider"])

        threads = torch.get_num_threads()
        try:
            self._session = session(threads)
            self._beside = session(1) if alone and threads > 1 else None
        except Exception as error:
            raise DataError(
                f"{graph.name} cannot be opened",
                where=str(graph),
                why=next(iter(str(error).splitlines()), type(error).__name__),
                mend="export the run again",
            ) from error
        self.inputs = [one.name for one in self._session.get_inputs()]
        self._alone, self._workers = alone, ThreadPoolExecutor(threads)

    def __call__(self, batch: Batch) -> Tensor:
        """Logits [B, C] float32."""
        types = torch.zeros_like(batch.ids) if batch.types is None else batch.types
        given = {"input_ids": batch.ids, "attention_mask": batch.mask, "token_type_ids": types}
        if not self._alone:
            return self._logits(given)
        lengths = batch.mask.sum(dim=1).tolist()
        rows = [
            {name: value[at : at + 1, :length] for name, value in given.items()} for at, length in enumerate(lengths)
        ]
        if self._beside is None or len(rows) == 1:
            return torch.cat([self._logits(row) for row in rows])
        return torch.cat(list(self._workers.map(partial(self._logits, session=self._beside), rows)))

    def _logits(self, given: dict[str, Tensor], session: Any = None) -> Tensor:
        (logits,) = (session or self._session).run(None, {name: given[name].numpy() for name in self.inputs})
        return torch.from_numpy(np.asarray(logits, np.float32))


def is_export(folder: Path) -> bool:
    """Whether a folder holds an exported model."""
    return (folder / EXPORT).is_file()


def open_export(folder: Path) -> tuple[ExportRecord, OnnxForward]:
    """The record and the graph of an export, once every file is found to be as it was written.

    Raises:
        DataError: a file is missing, surplus or changed.
        UsageError: onnxruntime is not installed.
    """
    try:
        require_as_written(folder)
    except OSError as error:
        raise DataError(
            "there is no whole export here", where=str(folder), why=str(error), mend="export the run again"
        ) from error
    record = read_record(folder / EXPORT, ExportRecord)
    return record, OnnxForward(folder / GRAPH, alone=record.precision == "int8")

"""A finished run for other runtimes: ``model.onnx`` with its tokenizer, or a checkpoint of stock Transformers.

Files of an ONNX export::

    model.onnx       the whole model: token ids to logits, of any number of rows of any length
    tokenizer.json   (and its settings, for Transformers)
    export.json      ExportRecord: labels, lengths, and how it was found to answer as the run does
    record.json      the run's record
    example.py       answers texts with onnxruntime and tokenizers alone
    manifest.json    SHA-256 of all of these
"""

from welltuned.exporting.onnx import export_onnx
from welltuned.exporting.stock import export_stock

__all__ = ["export_onnx", "export_stock"]

"""Answers of a finished run for new texts, in three steps: texts are read, the model computes, logits are named.

Each step stands alone: :class:`Reader` makes token ids of texts, a :class:`Forward` makes logits of token ids,
:func:`named` makes answers of logits. :class:`Predictor` holds the three of one run.
"""

from welltuned.predicting.exported import EXPORT, GRAPH, OnnxForward, is_export, open_export
from welltuned.predicting.folders import run_folder
from welltuned.predicting.forward import Forward, TorchForward, logits_of
from welltuned.predicting.naming import Answer, named
from welltuned.predicting.predictor import Predictor
from welltuned.predicting.reading import Reader

__all__ = [
    "EXPORT", "GRAPH", "Answer", "Forward", "OnnxForward", "Predictor", "Reader", "TorchForward", "is_export",
    "logits_of", "named", "open_export", "run_folder",
]  # fmt: skip

"""Tokenizers looked into: how one lays out a row, how well it fits a text, how it splits a word, how one is trained.

Read along the way of a text: ``layout`` puts a row together, ``fitting`` counts what a text costs, ``splitting``
explains one word, ``learning`` trains a new vocabulary, and ``inspection`` weighs whether one is worth it.
"""

from welltuned.tokenizing.inspection import inspect
from welltuned.tokenizing.learning import learn
from welltuned.tokenizing.splitting import explain

__all__ = ["explain", "inspect", "learn"]

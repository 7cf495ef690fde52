"""Welltuned: fine-tune encoders for text classification, and say which method really won.

``import welltuned`` is light. It also lets plain Transformers open models of type ``welltuned``: once Transformers
has loaded its Auto classes, now or later in the process, ours are registered with them.
"""

from welltuned.registration import register_with_transformers

__version__ = "0.1.0"

register_with_transformers()

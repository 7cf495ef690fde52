"""Drawings are made one at a time, as matplotlib's settings are those of the whole process."""

from __future__ import annotations

import threading

drawing = threading.RLock()
"""Held while a figure is drawn and written out."""

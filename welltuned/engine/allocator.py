"""Memory kept by the process instead of returned to the system at every step.

glibc hands large blocks back with munmap and takes them again, page fault by page fault, at each step. Serving
them from the heap and never trimming it lets a step reuse the pages of the one before.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1


@cache
def keep_memory() -> bool:
    """Tell glibc to keep freed memory, once a process; False where there is no glibc to tell."""
    if sys.platform != "linux":
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
        return bool(libc.mallopt(M_MMAP_MAX, 0)) and bool(libc.mallopt(M_TRIM_THRESHOLD, NEVER))
    except (OSError, AttributeError):
        return False

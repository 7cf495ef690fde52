"""The machine and the packages that a result was made with."""

from __future__ import annotations

import platform
from functools import cache
from importlib import metadata
from pathlib import Path

VERSIONED = (
    "torch", "transformers", "peft", "tokenizers", "datasets", "safetensors", "scikit-learn", "scipy", "numpy",
)  # fmt: skip


def installed_versions() -> dict[str, str]:
    """Versions of the packages that decide a result, by distribution name."""
    return dict(_versions())


@cache
def _versions() -> dict[str, str]:
    """Read once: metadata are files of hundreds of lines, and every run asks."""
    found = {}
    for name in VERSIONED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor_name() -> str:
    """The processor's model name, with the feature level that decides arithmetic speed."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    extra = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f" {flag} " in f"{flags} "]
    name = names[0] if names else platform.machine()
    return f"{name} ({' '.join(extra)})" if extra else name

"""With what a result was made on this machine."""

from __future__ import annotations

import platform
from typing import Protocol

import psutil
import torch

from welltuned import __version__
from welltuned.engine import Compute
from welltuned.record import Provenance, installed_versions, processor_name


class Hashed(Protocol):
    """Anything that was read and says by a hash what it was."""

    @property
    def hash(self) -> str:
        """SHA-256 over the content."""


def provenance(compute: Compute, data: Hashed, weights_hash: str) -> Provenance:
    """With what a result was made on this machine."""
    return Provenance(
        welltuned=__version__,
        versions=installed_versions(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=processor_name(),
        cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        device=compute.device_name,
        precision=f"{compute.precision}, {compute.engine} engine",
        threads=torch.get_num_threads(),
        data_hash=data.hash,
        weights_hash=weights_hash,
    )

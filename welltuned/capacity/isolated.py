"""A probe's process: started, watched, and stopped when it takes more than it may."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

import psutil
from pydantic import ValidationError

from welltuned.capacity.bisection import Trial
from welltuned.capacity.probe import Answer, Request
from welltuned.errors import WelltunedError

GLANCE = 0.01
"""Seconds between two looks at the process; memory is taken at some 5 GB/s at most."""
KILLED = -9


def tried(request: Request) -> Trial:
    """Run the request in a process of its own, which is stopped once it passes the limit.

    Raises:
        WelltunedError: the probe failed for another reason than memory.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            [sys.executable, "-m", "welltuned.capacity.probe"], stdin=subprocess.PIPE, stdout=told, stderr=complaints
        )
        try:
            assert process.stdin is not None
            process.stdin.write(request.model_dump_json().encode())
            process.stdin.close()
            stopped = request.spec.compute.device != "cuda" and _stopped_above(process, request.limit)
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        told.seek(0)
        complaints.seek(0)
        said, wrong = told.read().decode(errors="replace"), complaints.read().decode(errors="replace")
    seconds = time.perf_counter() - started
    if stopped or code == KILLED:  # by us, or by a system that ran short
        return Trial(request.rows, False, None, seconds)
    try:
        found = Answer.model_validate_json(said.strip().rsplit("\n", 1)[-1])
    except ValidationError as error:
        raise WelltunedError(
            f"a trial run of {request.rows} rows broke off with exit code {code}",
            why=wrong.strip().rsplit("\n", 1)[-1] or "it said nothing",
        ) from error
    fits = found.fits and found.peak <= request.limit
    return Trial(request.rows, fits, found.peak, seconds)


def _stopped_above(process: subprocess.Popen[bytes], limit: int) -> bool:
    """Watch until the process ends; True if it had to be stopped."""
    try:
        seen = psutil.Process(process.pid)
        while process.poll() is None:
            if seen.memory_info().rss > limit:
                process.kill()
                return True
            time.sleep(GLANCE)
    except psutil.Error:  # it has just ended
        pass
    return False

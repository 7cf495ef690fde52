"""Many clients at once for minutes, one request in a hundred of them bad: what is lost, how fast it is, what it takes.

    python benchmarks/serving_load.py RUN [--minutes 10] [--beside-minutes 2] [--clients 64] [--bad 0.01] [--seed 0]

RUN is a finished run or comparison on pairs. Its server is measured for ``--minutes``; then, for ``--beside-minutes``
each, the same server with batching off and a Transformers pipeline behind FastAPI, all with the same seeded traffic
from clients that each wait for their answer before they ask again. Clients and server share the machine. Writes
benchmarks/results/serving.json; ``python benchmarks/serving_page.py`` puts it into docs/serving.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from welltuned.data import load_dataset
from welltuned.predicting import Predictor
from welltuned.record.machine import installed_versions, processor_name
from welltuned.spec import DataSpec

HERE = Path(__file__).resolve().parent
OUT = HERE / "results" / "serving.json"
ROWS = 400
WARMING = 5.0
PATIENCE = 120.0
MIB = 1 << 20
JSON = {"Content-Type": "application/json"}
BAD = (
    b"{", b"[]", b'{"text": NaN, "text_pair": "a"}', b'{"text": "a"}', b'{"text": 1, "text_pair": 2}',
    b'{"text": "\\ud800", "text_pair": "a"}', b'{"text": "\\u0000", "text_pair": "a"}', b'{"text": "\xff"}',
    b'{"text":' + b"[" * 100_000, b'{"text": "a", "text_pair": "' + b"a" * (2 * MIB) + b'"}',
    b'{"text": "a", "text_pair": "b", "model": "nobody"}',
)  # fmt: skip


@dataclass
class Tally:
    """What became of requests; ``wrong`` are answers with another label than ``welltuned predict`` gives."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    sent: int = 0
    bad: int = 0
    lost: int = 0
    wrong: int = 0
    refused: int = 0
    accepted: int = 0
    rss: list[int] = field(default_factory=list)
    elapsed: float = 0.0


@dataclass(frozen=True)
class Traffic:
    """Rows to ask, as JSON, and the label that each should get."""

    bodies: list[bytes]
    labels: list[str]


def traffic(run: Path, seed: int) -> tuple[Traffic, dict[str, Any]]:
    """Rows of the run's own data and their answers by ``Predictor``; and what is known of the run."""
    predictor = Predictor(run)
    dev = load_dataset(DataSpec(source=predictor.record.spec.data.source)).dev
    assert dev.pair is not None, "the load test needs a run on pairs"
    chosen = np.random.default_rng(seed).permutation(len(dev.text))[:ROWS]
    texts, pairs = [dev.text[i] for i in chosen], [dev.pair[i] for i in chosen]
    lengths = predictor.reader.read(texts, pairs).lengths
    bodies = [json.dumps({"text": a, "text_pair": b}).encode() for a, b in zip(texts, pairs, strict=True)]
    labels = [answer.label for answer in predictor.answers(texts, pairs)]
    spec = predictor.record.spec
    about = {
        "data": spec.data.source, "model": Path(spec.model.name).name, "method": spec.method.name,
        "max_length": spec.model.max_length, "rows": len(bodies),
        "tokens": {f"p{q}": int(np.percentile(lengths, q)) for q in (5, 50, 95)},
    }  # fmt: skip
    return Traffic(bodies, labels), {**about, "folder": str(predictor.folder)}


async def client(number: int, http: httpx.AsyncClient, asked: Traffic, args: Any, until: float, tally: Tally) -> None:
    """Ask, wait, ask again, until time is up; what was asked is always waited for."""
    random = np.random.default_rng([args.seed, number])
    while (started := time.perf_counter()) < until:
        bad = random.random() < args.bad
        which = int(random.integers(len(BAD) if bad else len(asked.bodies)))
        tally.sent += 1
        tally.bad += bad
        try:
            body = BAD[which] if bad else asked.bodies[which]
            answer = await http.post("/predict", content=body, headers=JSON)
        except httpx.HTTPError as error:
            tally.lost += 1
            tally.statuses[type(error).__name__] += 1
            continue
        tally.statuses[str(answer.status_code)] += 1
        if bad:
            tally.refused += 400 <= answer.status_code < 500
            tally.accepted += answer.is_success
        elif answer.is_success:
            tally.seconds.append(time.perf_counter() - started)
            tally.wrong += label_of(answer.json()) != asked.labels[which]


def label_of(answer: Any) -> str:
    """The label in an answer of ours or of a pipeline's."""
    return str((answer[0] if isinstance(answer, list) else answer)["label"])


async def load(address: str, process: psutil.Process, asked: Traffic, args: Any, minutes: float) -> Tally:
    """All clients, after some seconds of warming that are not counted."""
    limits = httpx.Limits(max_connections=args.clients)
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE, limits=limits) as http:

        async def phase(seconds: float, tally: Tally) -> None:
            until = time.perf_counter() + seconds
            started = time.perf_counter()
            watching = asyncio.create_task(watch(process, tally, seconds))
            await asyncio.gather(*(client(i, http, asked, args, until, tally) for i in range(args.clients)))
            watching.cancel()
            tally.elapsed = time.perf_counter() - started

        await phase(WARMING, Tally())
        tally = Tally()
        await phase(60 * minutes, tally)
        return tally


async def watch(process: psutil.Process, tally: Tally, seconds: float) -> None:
    """Resident bytes of the server, sixty times over the measurement."""
    while True:
        tally.rss.append(process.memory_info().rss)
        await asyncio.sleep(max(0.2, seconds / 60))


@contextmanager
def started(command: list[str]) -> Iterator[tuple[str, psutil.Process]]:
    """A server's process at a free port, once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen([one.replace("PORT", str(port)) for one in command], env=environment) as process:
        try:
            end = time.monotonic() + 120
            while time.monotonic() < end and process.poll() is None:
                try:
                    httpx.get(f"{address}/ready")
                    break
                except httpx.HTTPError:
                    time.sleep(0.2)
            yield address, psutil.Process(process.pid)
        finally:
            process.terminate()


def summary(tally: Tally, minutes: float) -> dict[str, Any]:
    """The figures of one server."""
    seconds = np.array(tally.seconds or [np.nan])
    counted = {name: getattr(tally, name) for name in ("sent", "bad", "refused", "accepted", "lost", "wrong")}
    return {
        "minutes": minutes,
        **counted,
        "errors_5xx": sum(n for status, n in tally.statuses.items() if status.startswith("5")),
        "statuses": dict(sorted(tally.statuses.items())),
        "answers_a_second": len(tally.seconds) / tally.elapsed,
        "seconds": {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 95, 99)},
        "rss_mib": [round(one / MIB) for one in tally.rss],
    }


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--beside-minutes", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--bad", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def main() -> None:
    """Measure the three servers one after the other."""
    args = arguments()
    asked, about = traffic(args.run, args.seed)
    folder = about.pop("folder")
    ours = [sys.executable, "-m", "welltuned", "serve", folder, "--port", "PORT"]
    peer = [sys.executable, str(HERE / "serving_peer.py"), f"{folder}/model", "PORT", str(about["max_length"])]
    servers = {
        "welltuned serve": (ours, args.minutes),
        "welltuned serve --batch-rows 1": ([*ours, "--batch-rows", "1"], args.beside_minutes),
        "pipeline behind FastAPI": (peer, args.beside_minutes),
    }
    found = {}
    for name, (command, minutes) in servers.items():
        with started(command) as (address, process):
            found[name] = summary(asyncio.run(load(address, process, asked, args, minutes)), minutes)
        print(name, json.dumps({**found[name], "rss_mib": found[name]["rss_mib"][-1:]}), flush=True)
    served = {name: metadata.version(name) for name in ("fastapi", "uvicorn", "httpx")}
    made = {
        "processor": processor_name(), "cores": os.cpu_count(), "memory_bytes": psutil.virtual_memory().total,
        "platform": platform.platform(), "python": platform.python_version(),
        "versions": {**installed_versions(), **served}, "threads": os.environ.get("OMP_NUM_THREADS"),
    }  # fmt: skip
    asked_for = {"clients": args.clients, "bad": args.bad, "seed": args.seed}
    document = {"run": about, "asked": asked_for, "servers": found, "provenance": made}
    args.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()

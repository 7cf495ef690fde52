"""A server really started, asked over a socket, and told to stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from welltuned.cli import main

from .conftest import Command

SHORT = ("--max-length", "32", "--batch-size", "8", "--precision", "fp32", "--epochs", "1")
KEY = "0123456789abcdef"
ROW = {"text": "is it so", "text_pair": "red sun hot"}
HALF = (
    b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    b'{"text": "is it'
)


@dataclass(frozen=True)
class Started:
    """A server's process, its address, and the names it serves."""

    process: subprocess.Popen[str]
    address: str
    models: list[str]


@contextmanager
def serving(*arguments: object, key: str | None = None) -> Iterator[Started]:
    """A server at a free port; killed if the test leaves it running."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("WELLTUNED_API_KEY", None)
    if key is not None:
        environment["WELLTUNED_API_KEY"] = key
    command = [sys.executable, "-m", "welltuned", "serve", "--port", "0", "--json", *map(str, arguments)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            yield Started(process, **json.loads(line))
        finally:
            watchdog.cancel()
            process.kill()


@pytest.fixture(scope="module")
def runs(problem: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the head and one of LoRA on the small problem."""
    out = tmp_path_factory.mktemp("served")
    for method in ("head", "lora:rank=2"):
        asked = ("train", problem, "--model", bert, "--method", method, "--out", out / method[:4], *SHORT)
        with pytest.raises(SystemExit) as left:
            main([str(one) for one in asked])
        assert not left.value.code
    return out


@pytest.fixture(scope="module")
def server(runs: Path) -> Iterator[Started]:
    with serving(runs / "head", runs / "lora", f"again={runs / 'lora'}", key=KEY) as started:
        yield started


@pytest.fixture
def client(server: Started) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, headers={"Authorization": f"Bearer {KEY}"}, timeout=30) as made:
        yield made


def test_a_server_says_what_predict_says(
    server: Started, client: httpx.Client, runs: Path, problem: Path, welltuned: Command
) -> None:
    assert server.models == ["head", "lora", "again"]
    said = [json.loads(line) for line in welltuned("predict", runs / "lora", "--input", problem).out.splitlines()]
    table = [line.split(",") for line in problem.read_text().splitlines()[1:]]
    items = [{"text": question, "text_pair": passage} for question, passage, _ in table]
    for start in range(0, len(items), 40):
        asked = {"model": "again", "items": items[start : start + 40]}
        answers = client.post("/predict", json=asked).json()["answers"]
        for answer, expected in zip(answers, said[start:], strict=False):
            assert answer["label"] == expected["label"]
            assert answer["truncated"] == expected["truncated"]
            assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)


def test_models_have_their_backbone_in_common(client: httpx.Client) -> None:
    head, lora, again = client.get("/models").json()["models"]
    assert head["shared_bytes"] == 0
    assert 0.7 < lora["shared_bytes"] / lora["bytes"] < 1
    assert again["shared_bytes"] == again["bytes"]


def test_the_key_is_needed(server: Started) -> None:
    assert httpx.get(f"{server.address}/models").status_code == 401
    assert httpx.get(f"{server.address}/ready").json() == {"status": "ready"}


def test_clients_at_once_lose_nothing(client: httpx.Client) -> None:
    def ask(i: int) -> int:
        model = ("head", "lora")[i % 2]
        answered = client.post("/predict", json={"model": model, "items": [ROW] * (1 + i % 3)}).json()
        assert answered["model"] == model
        return len(answered["answers"])

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(90))) == 180
    assert 'welltuned_requests_total{path="/predict",status="5' not in client.get("/metrics").text


Schemathesis = Callable[[Started, int], subprocess.CompletedProcess[str]]


@pytest.fixture
def schemathesis(tmp_path: Path) -> Schemathesis:
    def run(server: Started, examples: int) -> subprocess.CompletedProcess[str]:
        command = [
            Path(sys.executable).with_name("schemathesis"), "run", f"{server.address}/openapi.json",
            "--header", f"Authorization: Bearer {KEY}", "--max-examples", str(examples), "--seed", "0", "--no-color",
        ]  # fmt: skip
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_schemathesis_finds_nothing(server: Started, schemathesis: Schemathesis) -> None:
    done = schemathesis(server, 10)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_schemathesis_finds_nothing_in_many_tries(server: Started, schemathesis: Schemathesis) -> None:
    done = schemathesis(server, 1000)
    assert done.returncode == 0, done.stdout + done.stderr


def _rows_inside_or_answered(client: httpx.Client) -> float:
    """Rows that wait, and rows of batches that are computed."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = {sample.name: sample.value for family in families for sample in family.samples}
    return samples["welltuned_waiting_rows"] + samples.get("welltuned_batch_rows_sum", 0)


def test_told_to_stop_it_answers_what_it_has_and_leaves_with_0(runs: Path) -> None:
    """Six requests inside are answered; a seventh, whose body never comes whole, is left behind in its time."""
    with (
        serving(runs / "head", "--batch-rows", "1", "--drain-seconds", "8") as started,
        httpx.Client(base_url=started.address, timeout=30) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        at = httpx.URL(started.address)
        with socket.create_connection((at.host, at.port or 0)) as stuck:
            stuck.sendall(HALF)
            asked = [pool.submit(client.post, "/predict", json={"items": [ROW] * 64}) for _ in range(6)]
            while _rows_inside_or_answered(client) < 6 * 64 - 1:  # one is being computed
                time.sleep(0.01)
            started.process.send_signal(signal.SIGTERM)
            assert [one.result().status_code for one in asked] == [200] * 6
            assert client.get("/ready").status_code == 503
            assert client.post("/predict", json=ROW).status_code == 503
            assert started.process.wait(20) == 0


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        (("--host", "0.0.0.0"), None, "WELLTUNED_API_KEY"),
        (("--host", "0.0.0.0"), "short", "at least 16"),
        (("--host", "203.0.113.7"), KEY, "cannot be listened at"),
    ],
)
def test_it_does_not_start_where_it_must_not(
    arguments: Sequence[str],
    key: str | None,
    said: str,
    runs: Path,
    welltuned: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("WELLTUNED_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("WELLTUNED_API_KEY", key)
    refused = welltuned("serve", runs / "head", "--port", "0", *arguments)
    assert refused.code == 2
    assert said in refused.err


def test_two_of_one_name_are_refused(runs: Path, welltuned: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WELLTUNED_API_KEY", raising=False)
    refused = welltuned("serve", f"a={runs / 'head'}", f"a={runs / 'lora'}", "--port", "0")
    assert refused.code == 2
    assert "called a" in refused.err

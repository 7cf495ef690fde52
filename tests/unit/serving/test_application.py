"""What a client meets, on a service in this process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from httpx import Response
from starlette.testclient import TestClient

from welltuned.serving.application import PATHS, Service
from welltuned.serving.limits import Limits
from welltuned.serving.models import Served

from .conftest import NAN, POISON, forward_of, service_of

ROW = {"text": "is it red", "text_pair": "the moon"}
LONG = {"text": "is it red", "text_pair": "the moon " * 8}


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def told_by(refused: Response) -> dict[str, str]:
    """A refusal's four parts, none of them empty."""
    told: dict[str, str] = refused.json()["error"]
    assert list(told) == ["what", "where", "why", "mend"]
    assert all(told.values()), told
    return told


def test_one_row_and_several(client: TestClient) -> None:
    one = client.post("/predict", json=ROW)
    assert one.status_code == 200
    assert one.json()["model"] == "pairs"
    assert one.json()["label"] == "short"
    assert sum(one.json()["probabilities"].values()) == pytest.approx(1)
    assert list(one.json()["probabilities"]) == ["long", "short"]
    many = client.post("/predict", json={"items": [ROW, LONG, ROW]}).json()
    assert [row["label"] for row in many["answers"]] == ["short", "long", "short"]
    assert many["failed"] == 0


def test_truncation_is_said(client: TestClient) -> None:
    rows = [ROW, {"text": "is it red", "text_pair": "the moon " * 20}, {"text": "the moon " * 20, "text_pair": "red"}]
    answers = client.post("/predict", json={"items": rows}).json()["answers"]
    assert [row["truncated"] for row in answers] == [False, False, True]
    rows[1]["text_pair"] = "a " * 90
    answers = client.post("/predict", json={"items": rows}).json()["answers"]
    assert [row["truncated"] for row in answers] == [False, True, True]


def test_a_model_is_chosen_by_name(client: TestClient) -> None:
    told = client.get("/models").json()
    assert told["default"] == "pairs"
    assert [(one["name"], one["takes_pairs"]) for one in told["models"]] == [("pairs", True), ("single", False)]
    assert client.post("/predict", json={"model": "single", "text": "a"}).json()["model"] == "single"
    for name in ("none", "\ud800", "a" * 1000):
        refused = client.post("/predict", content=json.dumps({"model": name, **ROW}), headers=JSON)
        assert refused.status_code == 422
        assert "pairs, single" in refused.json()["error"]["mend"]
    wrong = client.post("/predict", json={"model": "single", **ROW})
    assert wrong.status_code == 422
    assert "single texts" in told_by(wrong)["why"]


JSON = {"Content-Type": "application/json"}


def test_a_bad_row_does_not_keep_its_neighbours_from_their_answers(client: TestClient) -> None:
    bad: list[Any] = [
        3, None, {}, {"text": "a"}, {"text": "a", "text_pair": "\0"}, {"text": "a", "text_pair": POISON},
        {"text": NAN, "text_pair": "a"},
    ]  # fmt: skip
    answered = client.post("/predict", json={"items": [*bad[:3], ROW, *bad[3:]]})
    assert answered.status_code == 200
    rows = answered.json()["answers"]
    assert answered.json()["failed"] == 7
    assert rows.pop(3)["label"] == "short"
    for i, row in enumerate(rows):
        assert row.keys() == {"error"}, i
        assert row["error"].keys() == {"what", "where", "why", "mend"}
        assert all(row["error"].values()), row
    assert "finite" in rows[-1]["error"]["what"]


def test_a_row_that_breaks_the_model_is_an_error_of_the_server(client: TestClient) -> None:
    failed = client.post("/predict", json={"text": "a", "text_pair": POISON})
    assert failed.status_code == 500
    told_by(failed)
    assert client.post("/predict", json=ROW).status_code == 200


def test_bodies_of_the_wrong_kind_size_and_sort(client: TestClient) -> None:
    assert client.post("/predict", content=json.dumps(ROW)).status_code == 415
    plain = {"Content-Type": "text/plain"}
    assert client.post("/predict", content=json.dumps(ROW), headers=plain).status_code == 415
    assert client.post("/predict", content=b"{", headers=JSON).status_code == 422
    assert client.post("/predict", json={"items": [ROW] * 9}).status_code == 422
    charset = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.post("/predict", content=json.dumps(ROW), headers=charset).status_code == 200

    def pieces() -> Any:
        for _ in range(5):
            yield b" " * 1000

    for content in (b" " * 4097, b" " * 1_000_000, pieces()):
        refused = client.post("/predict", content=content, headers=JSON)
        assert refused.status_code == 413
        assert "4,096" in refused.json()["error"]["what"]
    assert client.post("/predict", content=b" " * (4096 - 80) + json.dumps(ROW).encode(), headers=JSON).is_success


@pytest.mark.parametrize("path", ["/nowhere", "/predict/", "/Predict", "/models/pairs", "/", "/\u00e9" * 500])
def test_a_path_that_is_none_is_told_all_that_are(path: str, client: TestClient) -> None:
    for ask in (client.get, client.post):
        refused = ask(path)
        assert refused.status_code == 404
        told = told_by(refused)
        assert ascii(path[:5])[:4] in told["where"]
        assert len(told["where"]) < 300
        assert all(one in told["mend"] for one in PATHS)
        assert ("it is /predict" in told["why"]) == (path in ("/predict/", "/Predict"))


def test_a_wrong_method_is_told_the_right_one(client: TestClient) -> None:
    wrong = client.get("/predict")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "POST"
    told = told_by(wrong)
    assert told["what"] == "this path does not take 'GET'"
    assert told["where"] == "'/predict'"
    assert told["why"] == "it takes POST"
    assert "with POST and JSON" in told["mend"]
    for method in ("POST", "DELETE", "BREW"):
        wrong = client.request(method, "/models")
        assert wrong.status_code == 405
        assert method in told_by(wrong)["what"]
        assert told_by(wrong)["mend"] == "ask with GET"


@pytest.mark.parametrize("status", [408, 413, 415, 422, 429, 503])
def test_every_refusal_says_what_where_why_and_mend(status: int, pair_model: Served) -> None:
    limits = Limits(body=100, items=1, queue=1, requests=0 if status == 429 else 9, seconds=0.05)
    service = service_of([pair_model], limits)
    service.start()
    service.gate.draining = status == 503
    if status == 408:
        forward_of(pair_model).open.clear()
    content = {413: b" " * 101, 422: b"{"}.get(status, json.dumps(ROW).encode())
    headers = {"Content-Type": "text/plain" if status == 415 else "application/json"}
    refused = TestClient(service.asgi).post("/predict", content=content, headers=headers)
    assert refused.status_code == status
    told_by(refused)
    forward_of(pair_model).open.set()
    service.worker.stop(5)


def test_a_full_line_is_429_and_loses_nothing(pair_model: Served) -> None:
    service = service_of([pair_model], Limits(queue=4, items=4, rows=1))
    service.start()
    client, forward = TestClient(service.asgi), forward_of(pair_model)
    forward.open.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.post, "/predict", json=ROW)
        until(lambda: forward.begun == 2)
        waiting = pool.submit(client.post, "/predict", json={"items": [ROW] * 3})
        until(lambda: len(service.line) == 3)
        refused = client.post("/predict", json={"items": [ROW] * 2})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        last = pool.submit(client.post, "/predict", json=ROW)
        until(lambda: len(service.line) == 4)
        forward.open.set()
        assert [one.result().status_code for one in (first, waiting, last)] == [200, 200, 200]
    assert len(service.line) == 0
    service.worker.stop(5)


def test_what_takes_too_long_is_408_and_is_not_computed(pair_model: Served) -> None:
    service = service_of([pair_model], Limits(seconds=0.2, rows=1))
    service.start()
    client, forward = TestClient(service.asgi), forward_of(pair_model)
    forward.open.clear()
    late = client.post("/predict", json={"items": [ROW] * 4})
    assert late.status_code == 408
    assert late.headers["retry-after"]
    forward.open.set()
    until(lambda: len(service.line) == 0)
    assert client.post("/predict", json=ROW).status_code == 200
    assert len(forward.batches) == 3  # the warming row, the one at hand when time was up, and the last
    service.worker.stop(5)


def test_rows_that_wait_together_are_computed_together(pair_model: Served) -> None:
    service = service_of([pair_model])
    service.start()
    client, forward = TestClient(service.asgi), forward_of(pair_model)
    forward.open.clear()
    with ThreadPoolExecutor(24) as pool:
        first = pool.submit(client.post, "/predict", json=ROW)
        until(lambda: forward.begun == 2)
        rows = []
        for i in range(20):  # one behind the other, so that a short row is the oldest
            rows.append(pool.submit(client.post, "/predict", json=LONG if i % 2 else ROW))
            until(lambda: len(service.line) == len(rows))
        forward.open.set()
        assert first.result().is_success
        labels = [row.result().json()["label"] for row in rows]
    assert labels == ["short", "long"] * 10
    assert forward.batches[1:] == [(1, 8), (10, 8), (10, 24)]
    service.worker.stop(5)


def test_one_row_at_a_time_is_so(pair_model: Served) -> None:
    service = service_of([pair_model], Limits(rows=1))
    service.start()
    assert TestClient(service.asgi).post("/predict", json={"items": [ROW] * 5}).is_success
    assert forward_of(pair_model).batches == [(1, 8)] * 6
    service.worker.stop(5)


def test_metrics_count_rows_batches_and_requests(service: Service, client: TestClient) -> None:
    client.post("/predict", json={"items": [ROW, 3]})
    client.get("/somewhere/else")
    text = client.get("/metrics").text
    for line in (
        'welltuned_requests_total{path="/predict",status="200"} 1.0',
        'welltuned_requests_total{path="other",status="404"} 1.0',
        'welltuned_rows_total{model="pairs",outcome="answered"} 1.0',
        'welltuned_rows_total{model="pairs",outcome="failed"} 1.0',
        "welltuned_waiting_rows 0.0",
        "process_resident_memory_bytes",
    ):
        assert line in text


def test_the_document_tells_paths_limits_errors_and_examples(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == set(PATHS) - {"/openapi.json"}
    predict = document["paths"]["/predict"]["post"]
    assert set(predict["responses"]) == {"200", "408", "413", "415", "422", "429", "500", "503"}
    content = predict["requestBody"]["content"]["application/json"]
    assert "200" in json.dumps(content["schema"])
    for example in content["examples"].values():
        assert client.post("/predict", json=example["value"]).status_code == 200


def test_many_threads_of_clients_each_get_their_own_answers(client: TestClient) -> None:
    def ask(i: int) -> None:
        for j in range(5):
            rows = [LONG if (i + j + k) % 3 else ROW for k in range(1 + i % 4)]
            answers = client.post("/predict", json={"items": rows}).json()["answers"]
            assert [row["label"] == "long" for row in answers] == [row is LONG for row in rows]

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(ask, range(12)))
    assert threading.active_count() < 40

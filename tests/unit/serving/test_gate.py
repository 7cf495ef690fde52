from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from welltuned.errors import UsageError
from welltuned.serving.gate import KEY, key_for
from welltuned.serving.limits import Limits

from .conftest import served, service_of

SECRET = "0123456789abcdef"
HERE = ["127.0.0.1", "localhost", "::1", "127.1.2.3"]
BEYOND = ["0.0.0.0", "::", "192.168.0.3", "example.org", ""]


@pytest.mark.parametrize("host", HERE)
def test_on_this_machine_a_key_is_asked_for_only_if_set(host: str) -> None:
    assert key_for(host, {}) is None
    assert key_for(host, {KEY: SECRET}) == SECRET


@pytest.mark.parametrize("host", BEYOND)
def test_beyond_this_machine_there_is_no_start_without_a_key(host: str) -> None:
    with pytest.raises(UsageError, match=KEY):
        key_for(host, {})
    assert key_for(host, {KEY: SECRET}) == SECRET


@pytest.mark.parametrize("key", ["", "short", "0123456789 abcdef", "0123456789abcdé" * 2, "0123456789abcdef\n"])
def test_what_is_no_key_is_refused_even_here(key: str) -> None:
    with pytest.raises(UsageError, match=KEY) as refused:
        key_for("127.0.0.1", {KEY: key})
    assert not key or key not in refused.value.message


def test_without_the_key_only_health_and_ready_answer() -> None:
    service = service_of([served("one")], key=SECRET)
    service.start()
    client = TestClient(service.asgi)
    for path in ("/health", "/ready"):
        assert client.get(path).status_code == 200
    wrong = [{}, *({"Authorization": one} for one in (SECRET, "Bearer", f"Bearer {SECRET}x", f"Basic {SECRET}"))]
    for path in ("/models", "/metrics", "/openapi.json", "/nowhere"):
        for headers in wrong:
            refused = client.get(path, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert SECRET not in refused.text
            assert all(refused.json()["error"].values())
    for scheme in ("Bearer", "bearer"):
        assert client.get("/models", headers={"Authorization": f"{scheme} {SECRET}"}).status_code == 200
    service.worker.stop(5)


def test_a_draining_server_is_not_ready_and_lets_nobody_in() -> None:
    service = service_of([served("one")])
    service.start()
    client = TestClient(service.asgi)
    assert client.get("/ready").json() == {"status": "ready"}
    service.gate.draining = True
    assert client.get("/health").status_code == 200
    assert client.get("/ready").status_code == 503
    refused = client.post("/predict", json={"text": "a", "text_pair": "b"})
    assert refused.status_code == 503
    assert refused.headers["retry-after"]
    service.worker.stop(5)
    assert client.get("/health").status_code == 503


def test_beyond_so_many_requests_inside_it_is_429() -> None:
    service = service_of([served("one")], Limits(requests=0))
    refused = TestClient(service.asgi).post("/predict", json={"text": "a"})
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert service.gate.inside == 0

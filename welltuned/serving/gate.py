"""What every request passes before it is read: who asks, and whether there is room."""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from ipaddress import ip_address

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from welltuned.errors import UsageError
from welltuned.serving.line import Line
from welltuned.serving.metrics import Metrics
from welltuned.serving.refusals import Refusal, Told, busy, stopping

KEY = "WELLTUNED_API_KEY"
SHORTEST_KEY = 16
OPEN = ("/health", "/ready")
"""Paths for whoever looks after the server: no key, always room."""


def key_for(host: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key that clients must send, from the environment; None where none is set and only this machine can ask.

    Raises:
        UsageError: others can ask and there is no key, or one that is easily guessed or cannot be sent.
    """
    key = environment.get(KEY)
    if key is None:
        if _is_loopback(host):
            return None
        raise UsageError(
            f"at {host or 'every address'} others could ask too, and there is no API key",
            where="--host",
            why="whoever reaches this server could ask these models, as often as they like",
            mend=f"set {KEY} in the environment, or leave --host at 127.0.0.1",
        )
    if len(key) < SHORTEST_KEY or not all("!" <= one <= "~" for one in key):
        raise UsageError(
            f"{KEY} is no key: it needs at least {SHORTEST_KEY} characters, of visible ASCII and without spaces",
            where=KEY,
            why="one of fewer can be guessed, and another character cannot be sent in a header",
            mend="make one with: openssl rand -hex 32",
        )
    return key


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Gate:
    """ASGI middleware: lets a request in or answers it, and counts it either way.

    Attributes:
        inside: requests that are read or answered now.
        draining: set once the server is to stop; from then on no new request is let in.
    """

    def __init__(self, line: Line, metrics: Metrics, paths: frozenset[str], key: str | None, most: int) -> None:
        self.inside = 0
        self.draining = False
        self._line = line
        self._metrics = metrics
        self._paths = paths
        self._key = None if key is None else key.encode()
        self._most = most

    def before(self, app: ASGIApp) -> ASGIApp:
        """The app with this gate before it."""

        async def gated(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._pass(app, scope, receive, send)
            else:
                await app(scope, receive, send)

        return gated

    async def _pass(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        started, status = time.perf_counter(), 499  # a client that is gone before its answer

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        counted = scope["path"] not in OPEN
        self.inside += counted
        try:
            refusal = self._refusal(scope) if counted else None
            await (app if refusal is None else response(refusal))(scope, receive, noting)
        finally:
            self.inside -= counted
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.request(path, status, time.perf_counter() - started)

    def _refusal(self, scope: Scope) -> Refusal | None:
        if self._key is not None:
            scheme, _, sent = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
            if not hmac.compare_digest(sent, self._key) or scheme.lower() != b"bearer":
                told = Told(
                    "the key is missing or not the right one",
                    where="the header Authorization",
                    why="this server answers only those who know its key",
                    mend="send the header Authorization: Bearer KEY",
                )
                return Refusal(401, told, {"WWW-Authenticate": "Bearer"})
        if self.draining:
            return stopping()
        if self.inside > self._most:
            return busy(self._line.wait())
        return None


def response(refusal: Refusal) -> Response:
    """A refusal as JSON."""
    body = json.dumps({"error": asdict(refusal.told)}, ensure_ascii=False)
    return Response(body, refusal.status, refusal.headers, media_type="application/json")

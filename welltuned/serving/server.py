"""A service on a socket, from its first request to its last."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from welltuned.errors import UsageError
from welltuned.serving.application import Service


def bound(host: str, port: int) -> socket.socket:
    """A socket at this address; connections are taken once the server runs.

    Args:
        host: name or address of an interface of this machine.
        port: 0 for any that is free.

    Raises:
        UsageError: the address is not to be had.
    """
    found = None
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
    except OSError as error:
        if found is not None:
            found.close()
        raise UsageError(
            f"{host}:{port} cannot be listened at",
            where="--host, --port",
            why=error.strerror,
            mend="choose another --port, or 0 for any that is free",
        ) from error
    return found


def address(at: socket.socket) -> str:
    """The socket's address as clients write it."""
    host, port = at.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(service: Service, at: socket.socket, started: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT; then let no more in, answer those inside within their time, and return.

    Args:
        started: called once connections are taken.
    """
    config = uvicorn.Config(
        service.asgi,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, service, started)
    try:
        server.run(sockets=[at])
    finally:
        service.worker.stop(seconds=5)


class _Server(uvicorn.Server):
    """Uvicorn, but that a signal first closes the gate, and the socket only once nobody is inside."""

    def __init__(self, config: uvicorn.Config, service: Service, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._service = service
        self._tell = started
        self._until = float("inf")

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._service.gate.draining:
            self.should_exit = self.force_exit = True
            return
        self._service.gate.draining = True
        self._until = time.monotonic() + self._service.limits.drain

    async def on_tick(self, counter: int) -> bool:
        drained = self._service.gate.draining and not self._service.gate.inside
        if drained or time.monotonic() > self._until:
            self.should_exit = True
        return await super().on_tick(counter)

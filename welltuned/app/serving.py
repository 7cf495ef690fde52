"""The page put together, and served: to this machine alone unless asked otherwise, and asking nothing of any other."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from welltuned.app import comparison, curves, laboratory, looks, playground
from welltuned.app.folder import shelf
from welltuned.app.quiet import QUIET, FastAPI, TrustedHostMiddleware, gr, html, uvicorn
from welltuned.errors import DataError, ResourceError, UsageError
from welltuned.report.markup import element
from welltuned.stopping import StoppedError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = {"127.0.0.1": "127.0.0.1", "localhost": "localhost", "::1": "[::1]"}
"""Addresses that only this machine reaches, each as a browser asks for it."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; "
    "frame-ancestors 'self'; form-action 'self'"
)
"""No address but the page's own; the two unsafe ones are what Gradio's own scripts need."""


def page(root: Path) -> Any:
    """The whole page as Gradio's blocks."""
    with gr.Blocks(title="Welltuned", analytics_enabled=False) as blocks:
        found = shelf(root)
        names = [str(place) for place in found]
        html(element("div", element("h1", "Welltuned"), class_="masthead"))
        results = gr.Dropdown(
            [(place.name or str(place), str(place)) for place in found], value=names[0], label="Results",
            visible=len(names) > 1, interactive=True, elem_id="results",
        )  # fmt: skip
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab("Comparison", id="comparison", elem_id="tab-comparison", render_children=True) as first:
                told = html(elem_id="comparison")
            with gr.Tab("Curves", id="curves", elem_id="tab-curves", render_children=True):
                curves.tab(results, blocks.load)
            with gr.Tab("Playground", id="playground", elem_id="tab-playground", render_children=True) as play:
                playground.tab(results, blocks.load, play.select)
            with gr.Tab("Attention", id="attention", elem_id="tab-attention", render_children=True) as attention:
                laboratory.tab(attention.select)
        gr.on([blocks.load, results.change, first.select], comparison.shown, results, told, **QUIET)
    return blocks


def application(root: Path, hosts: Iterable[str] | None = tuple(LOOPBACK.values())) -> FastAPI:
    """The page as an ASGI application.

    Args:
        root: a folder of results, or one that holds some.
        hosts: the names that it may be asked for by; None for any.

    Raises:
        DataError: there is no such folder.
    """
    _require_folder(root)
    site = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    site.add_middleware(Policed)
    if hosts is not None:
        site.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    gr.mount_gradio_app(
        site, page(root), path="", footer_links=[], show_error=False, ssr_mode=False, pwa=False,
        enable_monitoring=False, mcp_server=False, max_file_size="1kb", theme=looks.theme(), head=looks.head(),
    )  # fmt: skip
    return site


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        raise DataError(
            "there is no such folder",
            where=str(root),
            why="it is a file, and results are in a folder" if root.exists() else "nothing is there",
            mend="name the --out folder of a welltuned command, or make it",
        )


class Policed:
    """Sends :data:`POLICY` with every answer, so that a browser asks no other place for anything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, under the policy."""

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), (b"content-security-policy", POLICY.encode())]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, with_policy if scope["type"] == "http" else send)


def serve(root: Path, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page until a signal ends it.

    Args:
        port: 0 for any that is free.
        ready: is told the page's address once it can be opened.

    Raises:
        DataError: there is no such folder.
        UsageError: the host is not one of this machine.
        ResourceError: the port is taken.
    """
    _require_folder(root)
    listening = _bound(host, port)
    site = application(root, LOOPBACK.values() if host in LOOPBACK else None)
    name = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(site, log_level="warning", access_log=False, timeout_graceful_shutdown=1)
    ready(f"http://{name}:{listening.getsockname()[1]}")
    with suppress(KeyboardInterrupt, StoppedError):  # that is how a page is closed
        uvicorn.Server(config).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise _not_here(host, error) from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise _not_here(host, error) from error
        raise ResourceError(
            f"port {port} cannot be used",
            where=f"--port {port}",
            why=error.strerror,
            mend="give another --port, or 0 for any",
        ) from error
    return listening


def _not_here(host: str, error: OSError) -> UsageError:
    return UsageError(
        f"{host!r} is no address of this machine",
        where="--host",
        why=error.strerror,
        mend="leave it out for this machine alone, or name one of its own addresses",
    )

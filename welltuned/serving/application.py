"""The paths of a server, and the document that describes them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from welltuned import __version__
from welltuned.serving import schema
from welltuned.serving.answering import GONE, Answering
from welltuned.serving.gate import OPEN, Gate, response
from welltuned.serving.limits import Limits
from welltuned.serving.line import Line
from welltuned.serving.metrics import Metrics
from welltuned.serving.models import Models, Served
from welltuned.serving.refusals import Refusal, Told, quoted
from welltuned.serving.worker import Worker
from welltuned.spec import short_name

PATHS = ("/predict", "/models", "/health", "/ready", "/metrics", "/openapi.json")
ABOUT = """Answers of fine-tuned encoders. A row that cannot be answered never keeps the others from theirs. Errors say
what is wrong, where in the request, why, and how to mend it."""


class Service:
    """A server but for its socket: models, the line before them, the thread that computes, the gate, the paths."""

    def __init__(self, models: Models, limits: Limits, key: str | None = None) -> None:
        self.models = models
        self.limits = limits
        self.line = Line(limits.queue)
        self.metrics = Metrics(self.line.__len__)
        self.worker = Worker(self.line, limits, self.metrics)
        self.gate = Gate(self.line, self.metrics, frozenset(PATHS), key, limits.requests)
        self.app = _described(_with_paths(self), keyed=key is not None)
        self.asgi = self.gate.before(self.app)

    def start(self) -> None:
        """Compute one row with each model, then begin to answer."""
        for served in self.models:
            self.worker.warm(served)
        self.worker.start()

    @property
    def ready(self) -> bool:
        """Whether requests are let in and answered."""
        return self.worker.alive and not self.gate.draining


def _with_paths(service: Service) -> FastAPI:
    app = FastAPI(
        title="Welltuned",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # "/predict/" is told what "/predict" is called, not sent there
    )
    answering = Answering(service.models, service.line, service.limits, service.metrics)

    @app.post(
        "/predict",
        summary="Answer one row or several",
        response_model=schema.OneAnswer | schema.ManyAnswers,
        responses=schema.failures(service.limits),
        openapi_extra={"requestBody": schema.request_body(service.models, service.limits)},
    )
    async def predict(request: Request) -> Response:
        return await answering(request)

    @app.get("/models", summary="The models that answer here")
    async def models() -> schema.ModelsTold:
        return schema.ModelsTold(default=service.models.default, models=[_told(one) for one in service.models])

    @app.get("/health", summary="Whether the server works", responses={503: {"model": schema.Status}})
    async def health(answer: Response) -> schema.Status:
        answer.status_code = 200 if service.worker.alive else 503
        return schema.Status(status="ok" if service.worker.alive else "the thread that computes has ended")

    @app.get("/ready", summary="Whether the server lets requests in", responses={503: {"model": schema.Status}})
    async def ready(answer: Response) -> schema.Status:
        answer.status_code = 200 if service.ready else 503
        return schema.Status(status="ready" if service.ready else "stopping")

    @app.get(
        "/metrics",
        summary="What the server counted, for Prometheus",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    _tell_errors(app)
    return app


def _tell_errors(app: FastAPI) -> None:
    """Let every error be told in the same shape."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return response(refusal)

    @app.exception_handler(HTTPException)
    async def not_here(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers or {})
        told = _elsewhere(request.method, request.url.path, headers.get("Allow"))
        return response(Refusal(error.status_code, told, headers))

    @app.exception_handler(ClientDisconnect)
    async def left(_: Request, __: ClientDisconnect) -> Response:
        return Response(status_code=GONE)

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> Response:
        told = Told(
            "the server failed at this request",
            where="this request",
            why="an error that the server does not know; its log has it",
            mend="tell whoever runs it",
        )
        return response(Refusal(500, told))


def _elsewhere(method: str, path: str, allowed: str | None) -> Told:
    """A request that no path takes: there is none of this name (404), or it takes other methods (405)."""
    if allowed is None:
        close = next((one for one in PATHS if one == path.rstrip("/").lower()), None)
        return Told(
            "there is no such path here",
            where=quoted(path),
            why=f"it is {close}, to the letter" if close else "nothing that this server does is called so",
            mend=f"the paths are {', '.join(PATHS)}",
        )
    mend = f"ask with {allowed}"
    if allowed == "POST":
        mend += ' and JSON: curl ... -H "Content-Type: application/json" -d \'{"text": "..."}\''
    return Told(f"this path does not take {quoted(method)}", where=quoted(path), why=f"it takes {allowed}", mend=mend)


def _described(app: FastAPI, keyed: bool) -> FastAPI:
    """The app with its OpenAPI document, the key in it where one is needed."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    if keyed:
        document.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for path, operations in document["paths"].items():
            for operation in operations.values() if path not in OPEN else ():
                operation["security"] = [{"key": []}]
                operation["responses"]["401"] = {
                    "description": "The key is missing or not the right one.",
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                }

    def openapi() -> dict[str, Any]:
        return document

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _told(served: Served) -> schema.ModelTold:
    record = served.predictor.record
    return schema.ModelTold(
        name=served.name,
        method=record.spec.method.name,
        base=short_name(record.spec.model.name),
        labels=record.labels,
        takes_pairs=record.takes_pairs,
        max_length=record.spec.model.max_length,
        dev_accuracy=record.dev_accuracy,
        trained_parameters=record.trained_parameters,
        bytes=served.held.bytes if served.held else None,
        shared_bytes=served.held.shared if served.held else None,
    )

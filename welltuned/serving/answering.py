"""One request to /predict, from its bytes to its answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from welltuned.predicting import Answer
from welltuned.serving.limits import Limits
from welltuned.serving.line import Line, Outcome, Ticket
from welltuned.serving.metrics import Metrics
from welltuned.serving.models import Models, Served
from welltuned.serving.questions import Question, asked, question
from welltuned.serving.refusals import Refusal, Told, quoted

GONE = 499
"""The status counted for a client that left; nobody receives it."""
PATIENCE = 8
"""A body is read on up to so many times its limit, so that whoever sends it receives the refusal."""


class Answering:
    """Answers requests with the models of one server."""

    def __init__(self, models: Models, line: Line, limits: Limits, metrics: Metrics) -> None:
        self._models, self._line, self._limits, self._metrics = models, line, limits, metrics

    async def __call__(self, request: Request) -> Response:
        """The answer.

        Raises:
            Refusal: the request as a whole is not answered.
        """
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await self._answered(request)
        except TimeoutError as error:
            told = Told(
                f"no answer within {self._limits.seconds:g} s",
                where="this request",
                why="its body came too slowly, or too much waited before it",
                mend="ask fewer at once, or again when less waits",
            )
            raise Refusal(408, told, {"Retry-After": str(self._line.wait())}) from error

    async def _answered(self, request: Request) -> Response:
        require_json(request)
        wanted = asked(await body_of(request, self._limits.body), self._limits)
        served = self._models.find(wanted.model)
        pairs = served.predictor.takes_pairs
        rows = [
            question(item, pairs, self._limits, f"items[{i}]" if wanted.many else "")
            for i, item in enumerate(wanted.items)
        ]
        if not wanted.many and isinstance(rows[0], Told):
            raise Refusal(422, rows[0])
        outcomes = await self._outcomes(request, served, rows)
        if outcomes is None:
            return Response(status_code=GONE)
        failed = sum(isinstance(one, Told) for one in outcomes)
        self._metrics.rows(served.name, len(outcomes) - failed, failed)
        if wanted.many:
            return _json({"model": served.name, "answers": [_shown(one) for one in outcomes], "failed": failed})
        (only,) = outcomes
        if isinstance(only, Told):
            raise Refusal(500, only)
        return _json({"model": served.name, **_shown(only)})

    async def _outcomes(
        self, request: Request, served: Served, rows: Sequence[Question | Told]
    ) -> list[Outcome] | None:
        """Each row's outcome, in order; None if the client left before."""
        loop = asyncio.get_running_loop()
        tickets = [Ticket(served, row, loop.create_future()) for row in rows if isinstance(row, Question)]
        self._line.join(tickets)
        answers = asyncio.gather(*(ticket.outcome for ticket in tickets))
        left = asyncio.create_task(_until_left(request))
        try:
            ends: set[asyncio.Future[Any]] = {answers, left}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not answers.done():
                return None
            found = iter(answers.result())
        finally:
            answers.cancel()
            left.cancel()
        return [next(found) if isinstance(row, Question) else row for row in rows]


async def body_of(request: Request, most: int) -> bytes:
    """The whole body.

    Raises:
        Refusal: it has more bytes than ``most`` (413).
    """
    told = Told(
        f"the body has more than {most:,} bytes",
        where="the body",
        why="so many bytes this server takes of one request",
        mend="send fewer rows a request, or shorter texts",
    )
    too_large = Refusal(413, told, {"Connection": "close"})
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:20]) > PATIENCE * most:
        raise too_large
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size <= most:
            pieces.append(piece)
        elif size > PATIENCE * most:
            break
    if size > most:
        raise too_large
    return b"".join(pieces)


def require_json(request: Request) -> None:
    """Refuse a body that does not say it is JSON (415): so no page of another site can send one without being asked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        told = Told(
            "the body is not said to be JSON",
            where="the header Content-Type",
            why=f"it says {quoted(kind)}" if kind else "it is missing",
            mend="send Content-Type: application/json",
        )
        raise Refusal(415, told)


async def _until_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _shown(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome) if isinstance(outcome, Answer) else {"error": asdict(outcome)}


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document, ensure_ascii=False, allow_nan=False), media_type="application/json")

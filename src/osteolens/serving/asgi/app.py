"""The inference API: films in, answers out. Paths, statuses and errors are TorchServe's."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple
from uuid import uuid4

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from osteolens.errors import InputTooLarge
from osteolens.options import HEADER_PREFIX
from osteolens.rows import DIGEST_HEADER, ErrorAnswer, ErrorDetail, content_digest, dump
from osteolens.serving.asgi import openapi
from osteolens.serving.asgi.access import AccessLog
from osteolens.serving.asgi.keys import Key
from osteolens.serving.asgi.metrics import Metrics
from osteolens.serving.asgi.turns import QueueFull, Stuck, Turns
from osteolens.serving.requests import Tally

BODY_SECONDS = 60.0
"""For a whole body to arrive."""
HELD_BYTES = 512 * 1024**2
"""Of all bodies that arrive or wait at a time in one process."""
RETRY_SECONDS = 2
"""A full queue is about two seconds of work; a worker that ended is replaced in as many."""

_PREDICTIONS = "/predictions/"
_OPTIONS = HEADER_PREFIX.lower().encode()
_FRESH = {"cache-control": "no-store"}
_TYPES = {404: "ResourceNotFoundException", 405: "MethodNotAllowedException"}


class Job(NamedTuple):
    """A request as the computing thread gets it.

    Attributes:
        model: Its name.
        id: Repeated in the answers.
        headers: Options and content type as they came, in lower case and decoded as Latin-1.
        body: A film or a form.
    """

    model: str
    id: str
    headers: list[tuple[str, str]]
    body: bytes


class Reply(NamedTuple):
    """HTTP status, body, further headers, and what is counted of each film."""

    status: int
    body: bytes
    headers: dict[str, str]
    films: list[Tally]


class Inference:
    """The API that clients use; predictions, which must cost little, do without Starlette.

    Args:
        versions: Model name to version.
        timeouts: Model name to seconds that a request may take.
        answer: Computes.
        metrics: Counts.
        room: Requests that may wait for each model.
        largest: Bytes of a body.

    Attributes:
        key: What predictions need; None for no key.
    """

    def __init__(
        self,
        versions: Mapping[str, str],
        timeouts: Mapping[str, float],
        answer: Callable[[Job], Reply],
        metrics: Metrics,
        room: int,
        largest: int,
    ) -> None:
        self.key: Key | None = None
        self._versions, self._timeouts, self._answer, self._metrics = versions, timeouts, answer, metrics
        self._turns = Turns(versions, room)
        self._largest, self._held = largest, 0
        document = openapi.document(tuple(versions))
        self._others = application(
            Route("/ping", self._ping),
            Route("/openapi.json", lambda request: JSONResponse(document)),  # noqa: ARG005
            Route("/docs", lambda request: HTMLResponse(openapi.page(document))),  # noqa: ARG005
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if not scope["path"].startswith(_PREDICTIONS):
            await self._others(scope, receive, send)
            return
        response = await self._predict(scope, receive)
        await response(scope, receive, send)

    def logged(self, log: AccessLog) -> ASGIApp:
        """The same with a line for each request, without its query (it may hold facts about a patient), and counts."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            begun, status, identity = time.perf_counter(), 500, ""

            async def note(message: Message) -> None:
                nonlocal status, identity
                if message["type"] == "http.response.start":
                    status = message["status"]
                    identity = dict(message["headers"]).get(b"x-request-id", b"").decode()
                await send(message)

            try:
                await self(scope, receive, note)
            finally:
                log.write(scope, status, time.perf_counter() - begun, identity)
                self._metrics.add(f"Requests{status // 100}XX", 1, "Host")

        return app

    async def _ping(self, request: Request) -> Response:
        """A process that answers has loaded its models; a client may ask whether its key is right, too."""
        sent = request.headers.get("authorization")
        if sent and self.key and not self.key.fits(sent):
            return wrong_key()
        return JSONResponse({"status": "Healthy"}, headers=_FRESH)

    async def _predict(self, scope: Scope, receive: Receive) -> ASGIApp:
        """The response to a request with a film or several."""
        if scope["method"] not in ("POST", "PUT"):
            return plain_error(405, "MethodNotAllowedException", "send films with POST or PUT")
        headers = dict(scope["headers"])
        if self.key and not self.key.fits(headers.get(b"authorization", b"").decode("latin-1")):
            return wrong_key()
        name, _, version = scope["path"].removeprefix(_PREDICTIONS).partition("/")
        if name not in self._versions or version not in ("", self._versions[name]):
            return unknown_model(name)
        identity, chunks = str(uuid4()), list[bytes]()
        try:
            await self._receive(headers.get(b"content-length", b""), receive, chunks)
            return await self._compute(Job(name, identity, _for_worker(scope), b"".join(chunks)))
        except InputTooLarge as error:
            return row(413, dump(ErrorAnswer.of(error)), identity)
        except TimeoutError:
            return _error(408, "request_timeout", f"the body was not complete after {BODY_SECONDS:.0f} s", identity)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except QueueFull as error:
            return _error(503, "busy", str(error), identity)
        except Stuck as error:
            # No thread can be ended from outside. The next answers come from a process that takes this one's place.
            asyncio.get_running_loop().call_later(1.0, os._exit, 1)
            return _error(500, "timeout", str(error), identity)
        finally:
            self._held -= sum(map(len, chunks))

    async def _receive(self, declared: bytes, receive: Receive, chunks: list[bytes]) -> None:
        """Collect a request's body, and count its bytes."""
        self._check_size(int(declared) if declared.isdigit() else 0)
        size, more = 0, True
        async with asyncio.timeout(BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                self._check_size(size)
                chunks.append(chunk)
                self._held += len(chunk)
                if self._held > HELD_BYTES:
                    raise QueueFull("the films that wait fill the memory that is meant for them")

    def _check_size(self, size: int) -> None:
        if size > self._largest:
            raise InputTooLarge("the request is too large", f"at most {self._largest:,} bytes")

    async def _compute(self, job: Job) -> ASGIApp:
        begun = time.perf_counter()
        reply, waited = await self._turns.run(job.model, lambda: self._answer(job), self._timeouts[job.model])
        took = time.perf_counter() - begun
        add, model = self._metrics.add, job.model
        add("ts_inference_requests_total", 1, model, "default")
        add("ts_inference_latency_microseconds", took * 1e6, model, "default")
        add("ts_queue_latency_microseconds", waited * 1e6, model, "default")
        self._metrics.set("QueueTime", waited * 1000, "Host")
        self._metrics.set("WorkerThreadTime", (took - waited) * 1000, "Host")
        for film in reply.films:
            add("osteolens_films_total", 1, model, film.outcome, film.label, film.code)
            for step, seconds in film.seconds.items():
                self._metrics.observe("osteolens_step_seconds", seconds, model, step)
        return row(reply.status, reply.body, job.id, **reply.headers)


def application(*routes: Route) -> Starlette:
    """An application whose errors are worded as those of TorchServe."""
    return Starlette(routes=routes, exception_handlers={HTTPException: _refuse})


def plain_error(status: int, kind: str, message: str) -> Response:
    """An error as TorchServe's front end words it."""
    return JSONResponse({"code": status, "type": kind, "message": message}, status, _FRESH)


def wrong_key() -> Response:
    """The refusal of a key."""
    what = "Token Authorization failed. Token either incorrect, expired, or not provided correctly"
    return plain_error(400, "InvalidKeyException", what)


def unknown_model(name: str) -> Response:
    """The refusal of a model's name."""
    return plain_error(404, "ModelNotFoundException", f"Model not found: {name[:80]}")


def row(status: int, body: bytes, identity: str, **more: str) -> ASGIApp:
    """The response to a request for predictions: JSON with its digest."""
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        DIGEST_HEADER.lower(): content_digest(body),
        "x-request-id": identity,
    }
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in (headers | _FRESH | more).items()]

    async def response(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI's signature
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    return response


def _error(status: int, code: str, message: str, identity: str) -> ASGIApp:
    busy = {"retry_after": str(RETRY_SECONDS)} if status == 503 else {}
    detail = ErrorDetail(code=code, message=message, hint=f"try again in {RETRY_SECONDS} s" if busy else "")
    return row(status, dump(ErrorAnswer(error=detail)), identity, **busy)


def _for_worker(scope: Scope) -> list[tuple[str, str]]:
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in scope["headers"]
        if name.startswith(_OPTIONS) or name == b"content-type"
    ]


async def _refuse(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    status = error.status_code if isinstance(error, HTTPException) else 500
    return plain_error(status, _TYPES.get(status, "BadRequestException"), str(getattr(error, "detail", error)))

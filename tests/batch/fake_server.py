"""A small server with TorchServe's ways that answers from a film's bytes, and fails in any way that it is told to."""

import asyncio
import base64
import hashlib
import json
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
from support.shown import evidence

from osteolens.films.overlay import encode_map

LABELS = ("normal", "osteopenia", "osteoporosis")
CARD = "a" * 64
MAP_PNG = encode_map(np.array([[0, 255]], np.uint8))


def shares_of(film: bytes, model: str) -> list[float]:
    """Probabilities that only this film and model have: thirds of a hash, so that a wrong answer shows."""
    digest = hashlib.sha256(film + model.encode()).digest()
    weights = [1 + digest[place] for place in range(3)]
    return [round(weight / sum(weights), 6) for weight in weights]


KNOWN = evidence(0.7).model_dump()
UNSURE = evidence(0.4, fused=0.8, inputs=("age",)).model_dump()
SHOWN = {"unsure": UNSURE, "bordered": KNOWN | {"border": LABELS[1]}}
"""Evidence of other models: `unsure` is shown to know something with the age, `bordered` counts two labels as ill."""


def answer_to(film: bytes, model: str, headers: dict[str, str], card: str) -> dict[str, Any]:
    shares = dict(zip(LABELS, shares_of(film, model), strict=True))
    label = max(shares, key=lambda name: shares[name])
    explained = headers.get("x-osteolens-explain") != "none"
    explanation = {"method": "gradcam", "target": label, "map_png": MAP_PNG, "peak": 1.5}
    fused = None
    if "x-osteolens-age" in headers:
        triage = "refer" if float(headers["x-osteolens-age"]) >= 60 else "uncertain"
        fused = {"inputs": ["age"], "label": label, "probabilities": shares, "t_score": None, "triage": triage}
    return {
        "schema": 1, "id": os.urandom(4).hex(), "label": label, "probabilities": shares,
        "t_score": {"estimate": -1.5, "interval_90": [-2.5, -0.5]}, "fold_spread": None,
        "triage": None if model == "unsure" else "refer" if label == "osteoporosis" else "low suspicion",
        "fused": fused, "evidence": SHOWN.get(model, KNOWN),
        "quality": {"accepted": True, "warnings": [], "unfamiliarity": 0.1}, "film": {"width": 2, "height": 1},
        "explanations": [explanation] if explained else [],
        "model": {"name": model, "version": "1.0", "card_sha256": card},
        "timing_ms": {"decode": 1.0, "model": 2.0, "explain": 0.5},
    }  # fmt: skip


@dataclass
class Response:
    """What goes over the wire; a fault may replace any part of it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    silent: bool = False
    late: float = 0.0


Fault = Callable[[int, bytes, Response], Response | None]
"""Is given the request's number, the film and the right response; gives another one, or none for the right one."""


def error_body(code: str) -> bytes:
    error = {"code": code, "message": f"found {code}", "hint": "send a film"}
    return json.dumps({"schema": 1, "error": error}).encode()


@dataclass
class FakeServer:
    """Runs in a thread; a context manager.

    Films that start with `bad` are refused as a real server does; `answers` counts the answers by film.
    """

    fault: Fault = lambda number, film, response: None
    key: str | None = None
    models: tuple[str, ...] = ("efficientnet", "knee", *SHOWN)
    cards: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    port: int = 0
    answers: Counter[tuple[bytes, str]] = field(default_factory=Counter)
    requests: int = 0
    in_flight: int = 0
    most_in_flight: int = 0

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        async def listen() -> None:
            self._connections: set[asyncio.Task[None]] = set()
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

        asyncio.run_coroutine_threadsafe(listen(), self._loop).result()

    def stop(self) -> None:
        async def close() -> None:
            self._server.close()
            tasks = list(self._connections)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._one(reader, writer):
                    pass
        finally:
            self._connections.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        film = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests += 1
        number = self.requests
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            model = head.split()[1].rpartition("/")[2]
            right = self._right(film, model, headers)
            response = self.fault(number, film, right) or right
            await asyncio.sleep(response.late)
        finally:
            self.in_flight -= 1
        if response.silent:
            writer.transport.abort()
            return False
        if response is right and right.status == 200:
            self.answers[film, model] += 1
        fields = {"Content-Type": "application/json", "Content-Length": str(len(response.body)), **response.headers}
        text = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        whole = f"HTTP/1.1 {response.status} Said\r\n{text}\r\n".encode() + response.body
        writer.write(whole[: response.cut])
        await writer.drain()
        return response.cut is None

    def _right(self, film: bytes, model: str, headers: dict[str, str]) -> Response:
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            body = {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}
            return Response(400, json.dumps(body).encode())
        if model not in self.models:
            return Response(404, json.dumps({"code": 404, "type": "ModelNotFoundException", "message": model}).encode())
        if film.startswith(b"bad"):
            return Response(415, error_body("unsupported_type"))
        body = json.dumps(answer_to(film, model, headers, self.cards.get(model, CARD))).encode()
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return Response(body=body, headers={"Content-Digest": f"sha-256=:{digest}:"})

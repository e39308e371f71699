"""A server of answers without models: in the test's own process, or listening on a port."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import numpy as np
from support.shown import evidence

from osteolens.films.overlay import encode_map
from osteolens.films.read import read

LABELS = ("normal", "osteopenia", "osteoporosis")
SHARES = {"normal": 0.2, "osteopenia": 0.5, "osteoporosis": 0.3}


def answer(
    model: str,
    film: bytes,
    facts: dict[str, str],
    version: str = "1.0",
    strength: float | None = None,
    low: float | None = 0.7,
) -> dict[str, Any]:
    """An answer of the HTTP contract; the map of the n-th label is bright in the n-th third of the film's width."""
    picture = read(film)
    height, width = picture.pixels.shape
    explanations = []
    for index, label in enumerate(LABELS):
        levels = np.zeros((round(256 * height / max(height, width)), round(256 * width / max(height, width))), np.uint8)
        third = levels.shape[1] // 3
        levels[:, index * third : (index + 1) * third] = 255
        explanations.append({"method": "gradcam", "target": label, "map_png": encode_map(levels), "peak": 0.5 + index})
        if strength is not None:  # earlier servers send none
            explanations[-1]["strength"] = strength
    fused = {
        "inputs": ["age", "sex"], "label": "normal", "t_score": None, "triage": "low suspicion",
        "probabilities": {"normal": 0.9, "osteopenia": 0.06, "osteoporosis": 0.04},
    }  # fmt: skip
    spread = {"members": 5, "agreeing": 4, "low": dict.fromkeys(LABELS, 0.1), "high": dict.fromkeys(LABELS, 0.6)}
    return {
        "schema": 1, "id": "x", "label": "osteopenia", "probabilities": SHARES,
        "t_score": {"estimate": -1.8, "interval_90": [-3.0, -0.6]}, "triage": "uncertain",
        "fused": fused if {"age", "sex"} <= facts.keys() else None,
        "fold_spread": spread if model == "knee" else None,
        "quality": {"accepted": True, "warnings": ["unlike the training films"], "unfamiliarity": 0.9,
                    "source": picture.source and picture.source.model_dump()},
        "film": {"width": width, "height": height}, "explanations": explanations,
        "model": {"name": model, "version": version, "card_sha256": "ab" * 32},
        "timing_ms": {"decode": 1.0, "model": 1.0, "explain": 0.1},
    } | ({} if low is None else {"evidence": evidence(low, fused=0.8).model_dump()})  # fmt: skip


@dataclass
class FakeReader:
    """Answers every film, unless told otherwise.

    Attributes:
        asked: Model and facts of each question, in order.
        films: The bytes of each, likewise.
        version: Of the model in the answers.
        strength: Of every map; None for a server that says none.
        low: Lower end of the AUROC's interval of the film alone; None for an early server, which sends no evidence.
        faults: What happens instead of answers, by model: called with the request, it may raise or answer.
    """

    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    films: list[bytes] = field(default_factory=list)
    version: str = "1.0"
    strength: float | None = None
    low: float | None = 0.7
    faults: dict[str, Callable[[httpx.Request], httpx.Response]] = field(default_factory=dict)

    def respond(self, request: httpx.Request) -> httpx.Response:
        """A transport for httpx that answers as the server does."""
        model = request.url.path.rpartition("/")[2]
        if model == "ping":
            return self.faults["all"](request) if "all" in self.faults else httpx.Response(200, json={})
        names = ("age", "sex", "weight_kg", "height_m")
        sent = {name: request.headers.get(f"X-OsteoLens-{name.replace('_', '-')}") for name in names}
        facts = {name: text for name, text in sent.items() if text is not None}
        self.asked.append((model, facts))
        self.films.append(request.content)
        assert request.headers["X-OsteoLens-Target"] == "all"
        fault = self.faults.get(model) or self.faults.get("all")
        if fault:
            return fault(request)
        return httpx.Response(200, json=answer(model, request.content, facts, self.version, self.strength, self.low))

    def go_away(self) -> None:
        """From now on nobody listens."""

        def refuse(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("connection refused", request=request)

        self.faults["all"] = refuse

    def come_back(self) -> None:
        """Back to the state at the start."""
        self.faults.clear()


def refusal(status: int, code: str, message: str) -> Callable[[httpx.Request], httpx.Response]:
    """An error answer of the HTTP contract."""
    body = {"schema": 1, "error": {"code": code, "message": message, "hint": ""}}
    return lambda _request: httpx.Response(status, json=body)


@contextmanager
def listening(reader: FakeReader, port: int = 0) -> Iterator[int]:
    """The reader on a port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            film = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            url = f"http://127.0.0.1{self.path}"
            response = reader.respond(httpx.Request(self.command, url, headers=dict(self.headers), content=film))
            self.send_response(response.status_code)
            self.send_header("Content-Length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def as_json(body: bytes) -> Any:
    """A body as JSON, of any type, so that tests compare it as it is."""
    return json.loads(body)

"""A worker process: uvicorn on the connections that it is handed, and one thread that computes.

    python -m osteolens.serving.asgi.worker PRIVATE_FOLDER SOCKET

`workers.json` in the folder says what to load. The process ends when the other end of the socket closes, after the
answers to what it has: signals are the server process's business.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from osteolens import logs
from osteolens.inference.reader import Reader
from osteolens.serving import requests
from osteolens.serving.asgi import forms
from osteolens.serving.asgi.access import AccessLog
from osteolens.serving.asgi.app import Inference, Job, Reply
from osteolens.serving.asgi.control import Link
from osteolens.serving.asgi.keys import Key
from osteolens.serving.asgi.metrics import Metrics
from osteolens.serving.worker import Turn, load_reader

SETTINGS = "workers.json"
GRACE_SECONDS = 8
"""For requests under way when the server is stopped: less than its supervisor waits."""
IDLE_SECONDS = 75
"""Until a connection without requests is closed: longer than clients keep one, who else would find it closed."""


def main() -> None:
    """Serve what comes through the socket of the command line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    private, control = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    log_to_stderr()
    settings = json.loads((private / SETTINGS).read_text())
    lock = private / "busy.lock"  # one for all models: any film takes a core from any other
    readers = {
        name: load_reader(Path(model["folder"]), model["handler"], lock) for name, model in settings["models"].items()
    }
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, readers, control))
    os._exit(0)  # whatever the computing thread still does


async def serve(settings: dict[str, Any], readers: dict[str, tuple[Reader, Turn]], control: socket.socket) -> None:
    """Answer on connections until the other end of the control socket closes."""
    metrics = Metrics(Path(settings["metrics_config"]))
    timeouts = {name: model["response_timeout"] for name, model in settings["models"].items()}
    versions = {name: model["version"] for name, model in settings["models"].items()}
    app = Inference(
        versions, timeouts, lambda job: answer(readers, job), metrics, settings["room"], settings["largest"]
    )
    log = AccessLog(Path(settings["access_log"]))
    server = Listener(app.logged(log), settings["tls"])
    server.config.load()

    def hear(message: dict[str, Any], connections: list[int]) -> None:
        for connection in connections:
            server.adopt(socket.socket(fileno=connection), lambda: link.send({"closed": 1}))
        if message.get("ask") == "metrics":
            link.send({"reply": metrics.state()})
            return
        if message.get("ask") == "key":
            app.key = Key(*message["value"]) if message["value"] else None
        elif message.get("ask") == "log":
            log.open()
        if "ask" in message:
            link.send({"reply": None})

    link = Link(control, hear, server.stop)
    await server.serve([])


def answer(readers: dict[str, tuple[Reader, Turn]], job: Job) -> Reply:
    """Read the films of a request; runs in the computing thread."""
    reader, turn = readers[job.model]
    headers: dict[str, str] = {}
    for name, value in job.headers:
        headers[name if name not in headers else name.upper()] = value  # `unpack` refuses what is there in two cases
    with turn():
        try:
            row = forms.row_of(job.body, headers.get("content-type", ""))
        except Exception as error:  # noqa: BLE001 - `refusal` logs what is not an InputError
            results = [requests.refusal(error)]
        else:
            results = requests.answer(reader, row, headers, job.id)
    return Reply(*requests.response(results), [requests.tally(film) for _, film in results])


class Listener(uvicorn.Server):
    """Uvicorn in an event loop of ours, with signals left alone.

    Args:
        app: Answers.
        tls: Certificate and private key; none for plain HTTP.
    """

    def __init__(self, app: ASGIApp, tls: tuple[str, str] | None = None) -> None:
        certificate, key = tls or (None, None)
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        super().__init__(config)
        self._tasks: set[asyncio.Task[Any]] = set()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone."""
        yield

    def stop(self) -> None:
        """Take no more requests, finish those under way, and end."""
        self.should_exit = True

    def adopt(self, connection: socket.socket, closed: Callable[[], object]) -> None:
        """Serve a connection that somebody else has accepted, and say when it is closed."""
        connection.setblocking(False)
        loop = asyncio.get_running_loop()

        def protocol() -> HttpToolsProtocol:
            return _Counted(self.config, self.server_state, {}, loop)

        class _Counted(HttpToolsProtocol):
            def connection_lost(self, exc: Exception | None) -> None:
                closed()
                super().connection_lost(exc)

        # A client that keeps its connection open answers no farewell, for which TLS would wait half a minute.
        tls: dict[str, Any] = {"ssl": self.config.ssl, "ssl_shutdown_timeout": 1.0} if self.config.ssl else {}
        task = loop.create_task(loop.connect_accepted_socket(protocol, connection, **tls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def log_to_stderr() -> None:
    """Warnings and tracebacks, which end up in console.log."""
    logs.to_stderr("%(asctime)s [%(levelname)s] %(process)d %(name)s - %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # it warns of each request that is no HTTP


if __name__ == "__main__":
    main()

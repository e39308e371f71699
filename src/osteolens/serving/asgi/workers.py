"""Starts the worker processes, hands connections to them, and starts another when one ends.

A worker takes a connection for as long as its client keeps it, so the process with the fewest gets the next one. (Left
to the system, two callers would meet in one process half of the time.)
"""

import asyncio
import logging
import os
import socket
import sys
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from osteolens.serving.asgi import control

_LONGEST_PAUSE = 60.0
_ASK_SECONDS = 5.0
logger = logging.getLogger(__name__)


class WorkerError(Exception):
    """A worker cannot be started, or does not say anything any more."""


class Worker:
    """One worker process.

    Attributes:
        pid: Of the process; 0 before it is started.
        ready: Whether it has loaded the models and lives.
        started: When it was started.
        load_seconds: What loading took.
        connections: That it has.
        metrics: Its counts when it was last asked for them.
    """

    def __init__(self) -> None:
        self.pid = 0
        self.ready = False
        self.started = datetime.now(UTC)
        self.load_seconds = 0.0
        self.connections = 0
        self.metrics: Any = []
        self._process: asyncio.subprocess.Process | None = None
        self._control: control.Link | None = None
        self._replies: deque[asyncio.Future[Any]] = deque()

    async def start(self, private: Path, key: Any, seconds: float) -> None:
        """Start the process and wait until it has loaded the models.

        Raises:
            WorkerError: It ended, or took longer.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "osteolens.serving.asgi.worker", str(private), str(theirs.fileno())]
            self._process = await asyncio.create_subprocess_exec(*command, pass_fds=[theirs.fileno()])
        self.pid = self._process.pid
        self._control = control.Link(ours, self._hear, self._lose)
        begun = time.perf_counter()
        await self.ask("key", key, seconds)
        self.load_seconds, self.ready = time.perf_counter() - begun, True

    async def ask(self, what: str, value: Any = None, seconds: float = _ASK_SECONDS) -> Any:
        """Send a message and wait for its reply.

        Raises:
            WorkerError: There is none.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._replies.append(reply)
        if self._control is None or not self._control.send({"ask": what, "value": value}):
            raise WorkerError(f"worker {self.pid} has ended")
        try:
            async with asyncio.timeout(seconds):
                return await reply
        except TimeoutError:
            raise WorkerError(f"worker {self.pid} said nothing for {seconds:.0f} s") from None

    def adopt(self, connection: socket.socket) -> bool:
        """Hand over a connection; False where the process cannot take it."""
        handed = self._control is not None and self._control.send({}, connection.fileno())
        self.connections += handed
        return handed

    def kill(self) -> None:
        """End the process at once."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def end(self) -> int:
        """Wait until the process has ended, and give its exit status."""
        return await self._process.wait() if self._process else 0

    async def close(self) -> None:
        """Let the process answer what it has, and end."""
        self.ready = False
        if self._control:
            self._control.close()
        await self.end()

    def _hear(self, message: dict[str, Any], descriptors: list[int]) -> None:
        for descriptor in descriptors:
            os.close(descriptor)  # none is expected
        if "reply" in message:
            reply = self._replies.popleft()
            if not reply.done():
                reply.set_result(message["reply"])
        else:
            self.connections -= message["closed"]

    def _lose(self) -> None:
        self.ready = False
        while self._replies:
            reply = self._replies.popleft()
            if not reply.done():
                reply.set_exception(WorkerError(f"worker {self.pid} has ended"))


class Workers:
    """All worker processes.

    Args:
        private: Folder with the workers' settings.
        count: Processes.
        seconds: That one may take to load the models.
        key: Gives what predictions need now.
    """

    def __init__(self, private: Path, count: int, seconds: float, key: Any) -> None:
        self.all = [Worker() for _ in range(count)]
        self.past: list[Any] = []
        """Counts of workers that have ended."""
        self._private, self._seconds, self._key = private, seconds, key
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all workers; they are started again whenever they end.

        Raises:
            WorkerError: One could not load the models.
        """
        await asyncio.gather(*(worker.start(self._private, self._key(), self._seconds) for worker in self.all))
        self._tasks = [asyncio.create_task(self._keep(place)) for place in range(len(self.all))]

    async def serve(self, listening: socket.socket) -> None:
        """Hand over each new connection, for ever."""
        listening.setblocking(False)
        listening.listen(2048)
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listening)
            with connection:
                while not any(worker.adopt(connection) for worker in self._least_busy()):
                    await asyncio.sleep(0.1)

    async def ask(self, what: str, value: Any = None) -> list[Any]:
        """The replies of all that are ready."""
        ready = [worker for worker in self.all if worker.ready]
        replies = await asyncio.gather(*(worker.ask(what, value) for worker in ready), return_exceptions=True)
        return [reply for reply in replies if not isinstance(reply, BaseException)]

    async def metrics(self) -> list[Any]:
        """Counts of all workers, those that have ended included."""
        for worker in self.all:
            if worker.ready:
                try:
                    worker.metrics = await worker.ask("metrics")
                except WorkerError:
                    logger.exception("no counts")
        return [*self.past, *(worker.metrics for worker in self.all)]

    async def close(self) -> None:
        """Let the workers answer what they have, and end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(worker.close() for worker in self.all))

    def _least_busy(self) -> list[Worker]:
        return sorted((worker for worker in self.all if worker.ready), key=lambda worker: worker.connections)

    async def _keep(self, place: int) -> None:
        """Start another worker whenever that in this place ends, after pauses that grow while none can load."""
        pause = 0.0
        while True:
            ended = self.all[place]
            logger.warning("worker %d ended with status %d", ended.pid, await ended.end())
            self.past.append(ended.metrics)
            await asyncio.sleep(pause)
            worker = self.all[place] = Worker()
            try:
                await worker.start(self._private, self._key(), self._seconds)
                pause = 0.0
            except WorkerError as error:
                logger.error("a worker cannot be started: %s", error)
                worker.kill()
                pause = min(max(1.0, 2 * pause), _LONGEST_PAUSE)

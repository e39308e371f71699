"""Puts a load on an HTTP server and notes how long its answers take, at almost no cost of its own.

The server under test shares the machine's cores, so whatever the generator computes is taken from it. httpx computes
about 1.5 ms for each request, which would spoil the measurement. Here every request is built before the first is sent,
and `osteolens.bench.connection` looks only for an answer's status and its end.
"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from osteolens.bench.connection import Connection
from osteolens.errors import ClientError, ServerUnreachable

TIMEOUT_SECONDS = 60.0
"""For one request, until the last byte of its answer."""
MAX_IN_FLIGHT = 512
"""Requests that an open loop has under way at once: each needs a connection, and a process may open about 1,000."""
ARRIVALS_SEED = 0
EXAMPLE_URL = "http://127.0.0.1:8080/predictions/efficientnet"
_PAUSE_SECONDS = 0.1  # after a failure: a server that is gone must not make its callers spin


@dataclass(frozen=True)
class Load:
    """Outcome of a load.

    Attributes:
        latencies_ms: Milliseconds to the last byte of each answer with status 200, in the order they came: from
            sending in a closed loop, from the intended arrival in an open one.
        seconds: What the answers are divided by. In a closed loop the mean over the callers from the first counted
            request to its last answer (callers never rest, so this needs no correction at either end); in an open
            loop from the start to the end of the arrivals, or to the last answer where that is later.
        statuses: HTTP status to number of answers.
        failures: Name of the exception to number of requests that got no answer.
        late: Open loop: arrivals that were sent late because `MAX_IN_FLIGHT` requests were under way.
    """

    latencies_ms: tuple[float, ...]
    seconds: float
    statuses: dict[int, int]
    failures: dict[str, int]
    late: int = 0

    @property
    def films_per_second(self) -> float:
        """Answers with status 200 a second."""
        return self.statuses.get(200, 0) / self.seconds


def closed_loop(
    url: str,
    bodies: Sequence[bytes],
    headers: Mapping[str, str],
    *,
    concurrency: int,
    seconds: float,
    warm_up: float = 0.0,
) -> Load:
    """Post from callers that each send the next body as soon as they have their answer.

    Args:
        url: Full `http://` address with its path.
        bodies: Sent round robin.
        headers: Headers of each request, beside Host and Content-Length.
        concurrency: Number of callers, 1 or more.
        seconds: How long requests are sent and counted; each caller has at least one counted.
        warm_up: Seconds before that; what is sent in them is not counted.

    Raises:
        ClientError: An argument makes no sense.
        ServerUnreachable: Not even a first connection can be made.
    """
    _check(bodies, concurrency=concurrency, seconds=seconds)

    async def run() -> Load:
        sender = _Sender(url, bodies, headers)
        await sender.connect_first()
        start = asyncio.get_running_loop().time() + warm_up
        async with asyncio.TaskGroup() as group:
            callers = [group.create_task(_call(sender, start, start + seconds)) for _ in range(concurrency)]
        return sender.load(sum(caller.result() for caller in callers) / concurrency)

    return asyncio.run(run())


async def _call(sender: "_Sender", start: float, end: float) -> float:
    """One caller; gives the seconds from its first counted request to its last answer."""
    now = asyncio.get_running_loop().time
    first: float | None = None
    while (sent := now()) < end or first is None:
        counted = sent >= start
        if counted and first is None:
            first = sent
        if not await sender.ask(sent, counted=counted):
            await asyncio.sleep(_PAUSE_SECONDS)
    return now() - first


def open_loop(url: str, bodies: Sequence[bytes], headers: Mapping[str, str], *, rate: float, seconds: float) -> Load:
    """Post at random moments (a Poisson process, the same in each run) whatever the server does.

    Latency counts from the moment at which a request was meant to be sent, so that a server that stalls shows it in
    every request that had to wait, not only in the one under way. (The event loop wakes up to 1 ms late, which counts
    as well.)

    Args:
        url: Full `http://` address with its path.
        bodies: Sent round robin.
        headers: Headers of each request, beside Host and Content-Length.
        rate: Mean arrivals a second.
        seconds: How long requests arrive; then their answers are waited for.

    Raises:
        ClientError: An argument makes no sense.
        ServerUnreachable: Not even a first connection can be made.
    """
    _check(bodies, rate=rate, seconds=seconds)

    async def run() -> Load:
        sender = _Sender(url, bodies, headers)
        await sender.connect_first()
        room, late = asyncio.Semaphore(MAX_IN_FLIGHT), 0
        now = asyncio.get_running_loop().time

        async def arrive(due: float) -> None:
            async with room:
                await sender.ask(due)

        start = now()
        async with asyncio.TaskGroup() as group:
            for offset in arrivals(rate, seconds):
                await asyncio.sleep(start + offset - now())
                late += room.locked()
                group.create_task(arrive(start + offset))
        return sender.load(max(now() - start, seconds), late)

    return asyncio.run(run())


def arrivals(rate: float, seconds: float) -> list[float]:
    """Moments of a Poisson process, in seconds from its start, in order; the same at each call."""
    random_gaps = random.Random(ARRIVALS_SEED)  # noqa: S311 - not cryptography
    moments = itertools.accumulate(iter(lambda: random_gaps.expovariate(rate), None))
    return list(itertools.takewhile(lambda moment: moment < seconds, moments))


def _check(bodies: Sequence[bytes], **positive: float) -> None:
    if not bodies:
        raise ClientError("there is no body to send; give at least one film's bytes")
    for name, value in positive.items():
        if value <= 0:
            raise ClientError(f"{name} is {value:g}, which must be above 0; for example {name}=8")


@dataclass
class _Sender:
    """Connections to one address, and the outcomes of the requests over them."""

    url: str
    bodies: Sequence[bytes]
    headers: Mapping[str, str]
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    idle: list[Connection] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host, self.port, target = _split(self.url)
        head = [f"POST {target} HTTP/1.1", f"Host: {urlsplit(self.url).netloc}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        lines = [[*head, f"Content-Length: {len(body)}", "", ""] for body in self.bodies]
        built = [
            "\r\n".join(request).encode("latin-1") + body for request, body in zip(lines, self.bodies, strict=True)
        ]
        self.requests = itertools.cycle(built)

    async def connect_first(self) -> None:
        """See whether anybody is there.

        Raises:
            ServerUnreachable: Nobody is.
        """
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                self.idle.append(await self._connected())
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ServerUnreachable(f"no answer from {self.url}: {reason}; is the server up (make serve)?") from error

    async def ask(self, due: float, *, counted: bool = True) -> bool:
        """Send the next body, and say whether an answer came; latency counts from `due`, a time of the event loop."""
        connection = None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                connection = await self._connected()
                status, finished = await connection.send(next(self.requests))
        except OSError as error:  # time-outs and all that happens to connections
            if connection:
                connection.abort()
            self.failures[type(error).__name__] += counted
            return False
        self.idle.append(connection)
        self.statuses[status] += counted
        if counted and status == 200:
            self.latencies.append((finished - due) * 1000)
        return True

    def load(self, seconds: float, late: int = 0) -> Load:
        """The outcome; ends the connections."""
        for connection in self.idle:
            connection.abort()
        return Load(tuple(self.latencies), seconds, dict(+self.statuses), dict(+self.failures), late)

    async def _connected(self) -> Connection:
        """A connection that is idle, a new one where none is."""
        while self.idle:
            connection = self.idle.pop()
            if connection.is_open:
                return connection
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.host, self.port)
        return connection


def _split(url: str) -> tuple[str, int, str]:
    """Host, port, and path with query.

    Raises:
        ClientError: It is not a full http address.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError as error:
        raise ClientError(f"{url!r} is not an address ({error}); for example {EXAMPLE_URL}") from error
    if parts.scheme != "http" or not host:
        raise ClientError(
            f"a load cannot be put on {url!r}: it must be a plain http address (to measure a server behind TLS, go "
            f"past the proxy that ends it), for example {EXAMPLE_URL}"
        )
    return host, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

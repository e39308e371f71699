"""A batch that a server answers: its options, and how its films reach the server."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from osteolens.batch.answerers.http.pipeline import Pipeline
from osteolens.batch.answerers.http.send import Patience, Sender, Transport
from osteolens.batch.films import STANDARD_INPUT, Film, Sources
from osteolens.batch.job import Summary, run_batch
from osteolens.batch.journal import Journal
from osteolens.batch.outputs.overlays import Look
from osteolens.batch.progress import Style
from osteolens.batch.work import Work
from osteolens.client import DEFAULT_MODEL, AsyncClient, server_address
from osteolens.errors import BatchError
from osteolens.films.overlay import DEFAULT_COLOUR_MAP

MAX_IN_FLIGHT = 32
FILMS_AT_A_TIME = 256
_PARTS_AHEAD = 2


def run(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    models: Sequence[str] = (DEFAULT_MODEL,),
    server: str | None = None,
    key_file: Path | None = None,
    overlays: bool = False,
    opacity: float = 0.6,
    colour_map: str = DEFAULT_COLOUR_MAP,
    explain: str | None = None,
    force: bool = False,
    max_in_flight: int = MAX_IN_FLIGHT,
    connect_timeout: float = 5.0,
    read_timeout: float = 60.0,
    total_timeout: float = 120.0,
    wait: float = 60.0,
    null: bool = False,
    fresh: bool = False,
    accept_new_model: bool = False,
    progress: Style = "bar",
) -> Summary:
    """Send films to a server, and write the results into a folder. The same call again goes on where it stopped.

    In a running event loop (a notebook): `await asyncio.to_thread(run, ...)`.

    Args:
        inputs: Files, folders, globs, tables with a column `file`, or `-` for standard input.
        out: Folder for the results.
        models: Names of served models; each answers each film.
        server: Address; default: the variable OSTEOLENS_URL, else http://127.0.0.1:8080.
        key_file: TorchServe's key file; default: the variable OSTEOLENS_KEY, else key_file.json here.
        overlays: Write each film under its heat map.
        opacity: Opacity of the overlays, 0 to 1.
        colour_map: Colour map of the overlays, one of `osteolens.films.overlay.COLOUR_MAPS`.
        explain: The explanation that is requested; default: `gradcam` with overlays, else `none`.
        force: Have films answered that the gate refuses, too.
        max_in_flight: Most requests under way per model.
        connect_timeout: Seconds to wait for a connection.
        read_timeout: Seconds to wait for the next bytes of an answer.
        total_timeout: Seconds to wait for a whole answer.
        wait: Seconds to wait for a server that does not answer.
        null: Paths on standard input end in a zero byte.
        fresh: Forget what an earlier batch did in this folder.
        accept_new_model: Go on although the server has another version of a model, and send the films again that
            the earlier one answered.
        progress: `bar`, `quiet` or `json`.

    Raises:
        ServerUnreachable: The server has not answered for `wait` seconds. As after the errors below, all answers so
            far are safe and in the tables.
        BatchError: The call makes no sense, the folder is another batch's, the model has changed, the server refuses
            everybody, or the results cannot be written; the message says how to go on.
        ClientError: The address or the key file makes no sense.
    """
    if max_in_flight < 1:
        raise BatchError(f"at most {max_in_flight} requests under way make no sense; for example {MAX_IN_FLIGHT}")
    patience = Patience(connect_timeout, read_timeout, total_timeout, wait)
    timeout = httpx.Timeout(read_timeout, connect=connect_timeout)
    # Made before anything else: an address or a key that makes no sense is an error before there is an output folder.
    client = AsyncClient(server, key_file=key_file, timeout=timeout, transport=Transport(server_address(server)))
    return run_batch(
        Sources([str(name) for name in inputs], Path(out), null),
        _ServerAnswerer(client, patience, max_in_flight),
        models=models, explain=explain, force=force, overlays=overlays, look=Look(opacity, colour_map), fresh=fresh,
        accept_new_model=accept_new_model, progress=progress,
    )  # fmt: skip


class _ServerAnswerer:
    """Answers with a server; see `osteolens.batch.job.Answerer`."""

    packages: tuple[str, ...] = ("httpx", "httpx-aiohttp", "aiohttp", "pyarrow", "pydantic")

    def __init__(self, client: AsyncClient, patience: Patience, max_in_flight: int) -> None:
        self.client, self.patience, self.max_in_flight = client, patience, max_in_flight
        self.server = client.url
        self.options: dict[str, Any] = {"engine": "http", "max_in_flight": max_in_flight, **asdict(patience)}

    def answer(self, work: Work, sources: Sources) -> None:
        """Send all films that have no final row yet."""
        sender = Sender(
            self.client, work.models, maximum=self.max_in_flight, patience=self.patience, tell=work.reporter.tell
        )
        asyncio.run(_process(Pipeline(work, sender), sources, self.client, self.max_in_flight))


async def _process(pipeline: Pipeline, sources: Sources, client: AsyncClient, at_once: int) -> None:
    """Send all films, and then those whose answers have become outdated on the way."""
    size = 1 if STANDARD_INPUT in sources.names else FILMS_AT_A_TIME  # paths on standard input may come slowly
    async with client:
        try:
            await pipeline.process(_in_parts(sources, size), at_once=at_once)
            await pipeline.process(_outdated(pipeline.work.journal), at_once=at_once)
        except BaseExceptionGroup as group:
            raise _first(group) from None


async def _in_parts(films: Iterable[Film], size: int) -> AsyncIterator[list[Film]]:
    """Films, so many at a time, as a thread finds them: a slow disk or standard input never holds up the loop.

    Raises:
        Exception: Whatever finding them raises.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[list[Film] | Exception | None]()
    room, stopped = threading.Semaphore(_PARTS_AHEAD), threading.Event()

    def put(part: list[Film] | Exception | None) -> None:
        room.acquire()
        with suppress(RuntimeError):  # the loop has ended: so has the batch
            loop.call_soon_threadsafe(queue.put_nowait, part)

    def find() -> None:
        try:
            remaining = iter(films)
            while not stopped.is_set() and (part := list(islice(remaining, size))):
                put(part)
            put(None)
        except Exception as error:  # noqa: BLE001 - raised again on the other side
            put(error)

    # A daemon: one that waits for standard input must not keep the process from ending.
    threading.Thread(target=find, daemon=True).start()
    try:
        while (part := await queue.get()) is not None:
            if isinstance(part, Exception):
                raise part
            room.release()
            yield part
    finally:
        stopped.set()
        room.release(_PARTS_AHEAD)


async def _outdated(journal: Journal) -> AsyncIterator[list[Film]]:
    for films in journal.pending():
        yield films


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

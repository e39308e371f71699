"""Hands the films that a thread finds over to the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from itertools import islice

from osteolens.batch.films import Film

_AHEAD = 2
_Part = list[Film] | Exception | None


async def parts(films: Iterable[Film], size: int) -> AsyncIterator[list[Film]]:
    """Films, so many at a time, as a thread finds them: a slow disk or standard input never holds up the loop.

    Raises:
        Exception: Whatever finding them raises.
    """
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[_Part]()
    room, stopped = threading.Semaphore(_AHEAD), threading.Event()

    def put(part: _Part) -> None:
        room.acquire()
        with suppress(RuntimeError):  # the loop has ended: so has the batch
            loop.call_soon_threadsafe(queue.put_nowait, part)

    def find() -> None:
        try:
            found = iter(films)
            while not stopped.is_set() and (part := list(islice(found, size))):
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
        room.release(_AHEAD)

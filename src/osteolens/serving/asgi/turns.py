"""One computing thread, and the requests that wait for it."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class QueueFull(Exception):
    """As many requests as may wait do; the message says which."""


class Stuck(Exception):
    """A request took longer than it may, and still does."""


class Turns:
    """Computes for one request at a time.

    Args:
        models: Names. Those who wait for a model stand in its own line, and the lines take turns, so that a batch does
            not hold up another model.
        room: Requests that may wait for each model.
    """

    def __init__(self, models: Iterable[str], room: int) -> None:
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict((name, deque()) for name in models)
        self._room = room
        self._busy = False
        self._thread = ThreadPoolExecutor(1, "compute")

    async def run(self, model: str, work: Callable[[], T], seconds: float) -> tuple[T, float]:
        """What `work` returns when its turn has come, and the seconds that it waited.

        Raises:
            QueueFull, Stuck: It was not done, or goes on for ever.
        """
        begun = time.perf_counter()
        if self._busy:
            line = self._lines[model]
            if len(line) >= self._room:
                raise QueueFull(f"{len(line)} requests wait for {model} already")
            place = asyncio.get_running_loop().create_future()
            line.append(place)
            await place
        self._busy = True
        waited = time.perf_counter() - begun
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work), waited
        except TimeoutError:
            raise Stuck(f"the film had no answer after {seconds:.0f} s") from None
        finally:
            self._next()

    def _next(self) -> None:
        for model, line in self._lines.items():
            while line:
                place = line.popleft()
                if not place.done():
                    self._lines.move_to_end(model)
                    place.set_result(None)
                    return
        self._busy = False

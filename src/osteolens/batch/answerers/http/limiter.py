"""Limits how many requests to one model are under way: more while its answers stay quick, fewer when it has no room."""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

FIRST_LIMIT = 4
SHRINK = 0.7
TOLERANCE = 3.0
"""The limit grows while the mean latency is at most this many times the best. A server that works on several films at
once, as TorchServe does, still gains from a queue; beyond this the queue only makes every request wait."""
_FORGET = 1.01  # per window: a best latency that was seen long ago, or by luck, does not hold for ever


class Limiter:
    """Lets a changing number of requests through at a time, in the order in which they came: `async with limiter`.

    Args:
        maximum: The limit never grows beyond this.
        clock: Seconds; replaced in tests.

    Attributes:
        limit: Requests that may be under way; the whole part counts.
        in_flight: Requests that are under way.
        responses: Responses so far, of any status.
        failing_since: Time of the first failure after the latest response; None while responses come.
    """

    def __init__(self, maximum: int, clock: Callable[[], float]) -> None:
        self.maximum = maximum
        self.limit = float(min(FIRST_LIMIT, maximum))
        self.in_flight = 0
        self.responses = 0
        self.failing_since: float | None = None
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_until = 0.0
        self._shrunk_at = float("-inf")
        self._best: float | None = None
        self._window: list[float] = []

    @property
    def alone(self) -> bool:
        """Whether one request is under way and none waits: nothing else shows then whether the server is well."""
        return self.in_flight == 1 and not self._waiting

    async def __aenter__(self) -> Self:
        """Wait for a place, and for the end of a pause."""
        await self._take_place()
        try:
            while (pause := self._paused_until - self._clock()) > 0:
                await asyncio.sleep(pause)
        except BaseException:
            self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def responded(self) -> None:
        """Note a response of any status: the server is there."""
        self.responses += 1
        self.failing_since = None

    def answered(self, latency: float) -> None:
        """Note an answer that took so many seconds, and grow by one per window while they stay near their best."""
        self.responded()
        self._window.append(latency)
        if len(self._window) < max(self.limit, FIRST_LIMIT):
            return
        mean = sum(self._window) / len(self._window)
        self._window.clear()
        self._best = mean if self._best is None else min(self._best * _FORGET, mean)
        # A limit that nobody waits at need not grow.
        if mean <= self._best * TOLERANCE and self._waiting:
            self.limit = min(self.limit + 1, self.maximum)
            self._admit()

    def failed(self) -> float:
        """Note a request without an answer; returns the seconds since the first of them after the latest response."""
        now = self._clock()
        if self.failing_since is None:
            self.failing_since = now
        return now - self.failing_since

    def shrink(self, sent: float, pause: float = 0.0) -> None:
        """Let fewer through, as the server had no room.

        Args:
            sent: When the request was sent. One that was sent before the latest shrinking says nothing new.
            pause: Seconds for which the server wants to be left alone.
        """
        now = self._clock()
        self._paused_until = max(self._paused_until, now + pause)
        if sent > self._shrunk_at:
            self.limit = max(1.0, self.limit * SHRINK)
            self._shrunk_at = now
            self._window.clear()

    async def _take_place(self) -> None:
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            place = self._waiting.popleft()
            if not place.done():
                self.in_flight += 1
                place.set_result(None)

"""A proxy in front of a server that damages a share of what comes back."""

import asyncio
import random
import re
import threading
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

LATE = 2.0


class BadProxy:
    """Hands requests on, one at a time per connection; runs in a thread; a context manager.

    Args:
        url: Of the server.
        share: Of the answers, that are dropped, delayed by `LATE` seconds, cut off or changed; in turn.

    Attributes:
        url: Where it listens.
        answers: That were handed on untouched.
        damage: Answers by what was done to them.
    """

    def __init__(self, url: str, share: float) -> None:
        self.answers = 0
        self.damage: Counter[str] = Counter()
        self._server = urlsplit(url)
        self._share = share
        self._chance = random.Random(0)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._listening = starting.result()
        self.url = f"http://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async def close() -> None:
            self._listening.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = None
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                request = await _message(reader)
                there, upstream = await asyncio.open_connection(self._server.hostname, self._server.port)
                while True:
                    upstream.write(request)
                    if not await self._answer(await _message(there), writer):
                        break
                    request = await _message(reader)
        finally:
            # Without a word of goodbye, as when a network breaks.
            for end in (writer, upstream):
                if end:
                    end.transport.abort()

    async def _answer(self, answer: bytes, writer: asyncio.StreamWriter) -> bool:
        """Send an answer, or what is left of it; whether the connection lives on."""
        if self._chance.random() >= self._share:
            self.answers += 1
            writer.write(answer)
            await writer.drain()
            return True
        kind = ("dropped", "delayed", "truncated", "corrupted")[self.damage.total() % 4]
        self.damage[kind] += 1
        if kind == "delayed":
            await asyncio.sleep(LATE)
            writer.write(answer)
        elif kind == "truncated":
            writer.write(answer[: self._chance.randrange(len(answer))])
        elif kind == "corrupted":
            writer.write(self._corrupted(answer))
        await writer.drain()
        return kind in ("delayed", "corrupted")

    def _corrupted(self, answer: bytes) -> bytes:
        """With another digit in one of its probabilities: JSON as before, and nothing but a digest tells."""
        places = [match.start(1) for match in re.finditer(rb'"\w+": ?0\.(\d)', answer)]
        place = self._chance.choice(places or [len(answer) - 1])
        return answer[:place] + (b"7" if answer[place : place + 1] != b"7" else b"3") + answer[place + 1 :]


async def _message(stream: asyncio.StreamReader) -> bytes:
    """Head and body of a request or an answer."""
    head = await stream.readuntil(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return head + await stream.readexactly(int(length[1]) if length else 0)

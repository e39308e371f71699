"""One kept-alive HTTP/1.1 connection that costs almost no CPU: it looks only for an answer's status and its end."""

import asyncio
import re
from collections.abc import Generator

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})")
_LENGTH = re.compile(rb"\ncontent-length:[ \t]*(\d+)[ \t]*(?:\r|$)")
_CHUNKED = re.compile(rb"\ntransfer-encoding:[^\r]*chunked")
_CLOSE = re.compile(rb"\nconnection:[^\r]*close")
_KEEP_ALIVE = re.compile(rb"\nconnection:[^\r]*keep-alive")
_NO_BODY = (204, 304)

Reading = Generator[None, bytes, bytes]
"""Takes in what arrives, and gives back what is left over; no bytes at all mean that the server has ended."""


class MalformedAnswer(ConnectionError):
    """What arrived is not an HTTP/1 answer."""


class Connection(asyncio.Protocol):
    """A connection over which one request at a time is under way.

    Attributes:
        is_open: Whether another request can be sent.
    """

    transport: asyncio.Transport
    is_open = True
    _waiting: asyncio.Future[tuple[int, float]] | None = None
    _answer: Generator[None, bytes, tuple[int, bool]]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what asyncio hands over."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - for the type checker
        self.transport = transport

    def send(self, request: bytes) -> asyncio.Future[tuple[int, float]]:
        """Send a whole request.

        Returns:
            To be awaited: the answer's status, and when, by the event loop's clock, its last byte came.

        Raises:
            ConnectionError: When awaited: the connection ended before the answer did, or what came is no answer.
        """
        self._waiting = asyncio.get_running_loop().create_future()
        self._answer = read_answer()
        next(self._answer)
        self.transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        """Take in a part of the answer, or none at all when the server has ended."""
        if self._waiting is None:  # no request is under way: a server may say 408 before it ends an idle connection
            self.abort()
            return
        try:
            self._answer.send(data)
        except StopIteration as whole:
            status, stays = whole.value
            self._settle((status, asyncio.get_running_loop().time()))
            # An answer before the end of the request, as to one that is too large: the rest must not go out.
            if not stays or self.transport.get_write_buffer_size():
                self.abort()
        except ConnectionError as error:
            self._settle(error)
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let who waits know."""
        self.is_open = False
        if self._waiting and exc:
            self._settle(exc)
        elif self._waiting:
            self.data_received(b"")

    def abort(self) -> None:
        """End the connection at once."""
        self.is_open = False
        self.transport.abort()

    def _settle(self, outcome: tuple[int, float] | Exception) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():  # whoever waited has given up
            return
        if isinstance(outcome, Exception):
            waiting.set_exception(outcome)
        else:
            waiting.set_result(outcome)


def read_answer() -> Generator[None, bytes, tuple[int, bool]]:
    """Follow an answer to its end; to be sent the bytes as they arrive, and none when the server ends.

    Returns:
        Its status, and whether the connection stays open.

    Raises:
        MalformedAnswer: It is not HTTP/1.
        ConnectionAbortedError: The server ended before the answer did.
    """
    head, rest = yield from _line(b"\r\n\r\n", b"")
    first = _STATUS_LINE.match(head)
    if not first:
        raise MalformedAnswer(f"an answer starts with {head[:40]!r}, not with HTTP/1.1 and a status")
    status, fields = int(first[2]), head.lower()
    stays = not _CLOSE.search(fields) and (first[1] == b"1" or _KEEP_ALIVE.search(fields) is not None)
    length = _LENGTH.search(fields)
    if status in _NO_BODY:
        return status, stays
    if _CHUNKED.search(fields):
        rest = yield from _chunks(rest)
    elif length:
        rest = yield from _skip(int(length[1]), rest)
    else:
        while (yield):
            pass
        return status, False
    return status, stays and not rest


def _chunks(data: bytes) -> Reading:
    """A chunked body with its trailers."""
    size = 1
    while size:
        line, data = yield from _line(b"\r\n", data)
        try:
            size = int(line.split(b";")[0], 16)
        except ValueError:
            raise MalformedAnswer(f"a chunk starts with {line[:40]!r}, not with its size") from None
        if size:
            data = yield from _skip(size + 2, data)
    while line:
        line, data = yield from _line(b"\r\n", data)
    return data


def _line(end: bytes, data: bytes) -> Generator[None, bytes, tuple[bytes, bytes]]:
    """What comes before `end`, and what comes after it."""
    while end not in data:
        data += yield from _more()
    line, _, rest = data.partition(end)
    return line, rest


def _skip(count: int, data: bytes) -> Reading:
    """Let `count` bytes pass, and give what comes after them."""
    passed = len(data)
    while passed < count:
        data = yield from _more()
        passed += len(data)
    return data[len(data) - (passed - count) :]


def _more() -> Reading:
    data = yield
    if not data:
        raise ConnectionAbortedError("the server ended the connection before its answer was whole")
    return data

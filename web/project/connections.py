"""Connections with limits: requests that are refused by their head, and deadlines for the rest."""

import ipaddress
import socket
import time
from functools import cached_property
from typing import Any

import waitress.utilities as errors
from django.conf import settings
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import FixedStreamReceiver
from waitress.task import ErrorTask, WSGITask

from osteolens.rows import ErrorAnswer, ErrorDetail, dump

HEAD_SECONDS = IDLE_SECONDS = 15.0
BODY_SECONDS, BODY_BYTES_PER_SECOND = 30.0, 16 * 1024
"""Time for a body: this many seconds, and one more per this many bytes received."""
STALLED_SECONDS = 60.0
"""Time after which a client that does not read its answer is cut off."""
DRAINED_BYTES = 256 * 1024**2
RETRY_SECONDS = 30


class LengthRequired(errors.BadRequest):
    """A body in chunks: its size is not known before it has come."""

    code, reason = 411, "Length Required"


class RequestTimeout(errors.BadRequest):
    """A request that does not become whole."""

    code, reason = 408, "Request Timeout"


class Unavailable(errors.Error):
    """No room for a body on the disk."""

    code, reason = 503, "Service Unavailable"


class Refusal(ErrorTask):
    """Refusal by the server itself, as an error object of the HTTP contract."""

    def execute(self) -> None:
        """Write it and close the connection."""
        error = self.request.error
        hints = {
            408: ("too_slow", "send it again over a faster connection"),
            411: ("length_required", "send Content-Length instead of chunks"),
            413: ("too_large", f"send one film of at most {settings.MAX_UPLOAD_MB} MB"),
            500: ("internal", "the log says why"),
            503: ("unavailable", f"nothing was kept; send it again in {RETRY_SECONDS} seconds"),
        }
        code, hint = hints.get(error.code, ("bad_request", "see RFC 9112 for what a request looks like"))
        body = dump(ErrorAnswer(error=ErrorDetail(code=code, message=str(error.body), hint=hint)))
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        if error.code == Unavailable.code:
            self.response_headers.append(("Retry-After", str(RETRY_SECONDS)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Task(WSGITask):
    """Answers HEAD without a body, which waitress leaves to the app and Django to the server."""

    def get_environment(self) -> dict[str, Any]:
        """WSGI environment; without the file wrapper for HEAD, which would send content past `write`."""
        environment: dict[str, Any] = super().get_environment()
        if self.request.command == "HEAD":
            del environment["wsgi.file_wrapper"]
        return environment

    def write(self, data: bytes) -> None:
        """Send a part of the answer."""
        super().write(b"" if self.request.command == "HEAD" else data)


class Parser(HTTPRequestParser):
    """Refuses by the head alone what need not be read."""

    expect_continue = False

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the head. A body that is too large is read to its end where that is in reach, and thrown away.

        A client that is cut off while it sends sees a broken connection instead of the answer.
        """
        super().parse_header(header_plus)
        if self.chunked:
            self.error, self.body_rcv = LengthRequired("the request comes in chunks"), None
        elif self.content_length > settings.MAX_UPLOAD_BYTES + settings.FORM_BYTES:
            self.error = errors.RequestEntityTooLarge(f"the request has {self.content_length / 1e6:.0f} MB")
            drained = self.content_length <= DRAINED_BYTES and not self.expect_continue
            self.body_rcv = FixedStreamReceiver(self.content_length, Nowhere(0)) if drained else None
        if self.error:
            self.expect_continue, self.connection_close = False, True


class Nowhere(OverflowableBuffer):
    """Buffer that forgets what it gets."""

    def append(self, s: bytes) -> None:
        """Drop the bytes."""


class Channel(HTTPChannel):
    """A connection that knows how long its request has been under way."""

    parser_class = Parser
    task_class = Task
    error_task_class = Refusal
    request: Any = None
    will_close = False
    last_activity = 0.0
    began = 0.0

    @cached_property
    def source(self) -> str:
        """Source of the connection: an IPv4 address, or the 64 bits that one household of IPv6 has."""
        address = ipaddress.ip_address(self.addr[0].partition("%")[0])
        if address.version == 4:
            return str(address)
        return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))

    @property
    def unfinished_bytes(self) -> int:
        """Bytes received of a body that is not whole yet."""
        return self.request.body_bytes_received if self.request else 0

    @property
    def waits_since(self) -> float:
        """Time at which it began to wait for its client."""
        return self.began if self.request else self.last_activity

    def received(self, data: bytes) -> bool:
        """Take bytes; a disk that has no room for them refuses the request."""
        if self.request is None:
            self.began = time.time()
        try:
            return bool(super().received(data))
        except OSError as error:
            self.logger.warning("a body cannot be kept: %s", error.strerror)
            self.refuse(Unavailable(f"there is no room for the request: {error.strerror}"))
            return False

    def handle_read(self) -> None:
        """Read; who stops sending in the middle of a request still reads that it is not whole."""
        if self.request is not None:
            try:
                # A look that takes nothing: waitress reads the bytes itself.
                ended = self.socket.recv(1, socket.MSG_PEEK) == b""
            except BlockingIOError:
                return
            if ended:
                self.refuse(errors.BadRequest("the request ends before it is whole"))
                return
        super().handle_read()

    def refuse(self, error: errors.Error) -> None:
        """Answer a request that is not whole."""
        with self.requests_lock:
            request, self.request = self.request, None
            request.error, request.completed = error, True
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)

    def look(self, now: float) -> None:
        """End it if its client has had its time."""
        if self.requests or self.total_outbufs_len:
            self.will_close = self.will_close or (
                self.total_outbufs_len > 0 and now - self.last_activity > STALLED_SECONDS
            )
        elif self.request is None:
            self.will_close = self.will_close or now - self.last_activity > IDLE_SECONDS
        elif not self.request.headers_finished:
            if now - self.began > HEAD_SECONDS:
                self.refuse(RequestTimeout(f"the head of the request took more than {HEAD_SECONDS:.0f} seconds"))
        elif now - self.began > BODY_SECONDS + self.unfinished_bytes / BODY_BYTES_PER_SECOND:
            pace = f"{BODY_SECONDS:.0f} seconds and then less than {BODY_BYTES_PER_SECOND // 1024} KiB a second"
            self.refuse(RequestTimeout(f"the body of the request took more than {pace}"))

"""The load generator against small servers on loopback whose behaviour is known."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from osteolens.bench import load
from osteolens.bench.connection import Connection, MalformedAnswer
from osteolens.bench.load import arrivals, closed_loop, open_loop
from osteolens.errors import ClientError, ServerUnreachable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Seen:
    """What a server was sent, in the order in which it arrived."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.connections = 0


Answering = Callable[[int], bytes | None]
"""From the number of a request, counted from 1, to the bytes of its answer; None ends the connection instead."""


@contextmanager
def serving(answering: Answering) -> Iterator[tuple[str, Seen]]:
    seen, lock = Seen(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            seen.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                seen.bodies.append(body)
                seen.headers.append(dict(self.headers))
                seen.times.append(time.monotonic())
                number = len(seen.bodies)
            answer = answering(number)
            if answer is None:
                self.close_connection = True
                return
            self.wfile.write(answer)
            self.close_connection = b"Connection: close" in answer

        def log_message(self, *args: object) -> None: ...

    class Quiet(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *args: object) -> None: ...

    with Quiet(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/predictions/x?y=1", seen
        finally:
            server.shutdown()
            thread.join()


def after(seconds: float, answer: bytes = OK) -> Answering:
    def answering(_: int) -> bytes:
        time.sleep(seconds)
        return answer

    return answering


def test_closed_loop_counts_what_the_server_saw_and_sends_bodies_in_turn() -> None:
    with serving(after(0.02)) as (url, seen):
        done = closed_loop(url, [b"a", b"bb", b"ccc"], {"X-Key": "k"}, concurrency=2, seconds=0.4)
    assert done.statuses == {200: len(seen.bodies)}
    assert len(done.latencies_ms) == len(seen.bodies)
    assert sorted(seen.bodies[:12]) == sorted([b"a", b"bb", b"ccc"] * 4)
    assert {headers["X-Key"] for headers in seen.headers} == {"k"}
    assert seen.headers[0]["Host"] == url.split("/")[2]
    assert seen.connections == 2
    assert done.failures == {}
    assert done.late == 0


def test_closed_loop_throughput_is_callers_over_latency() -> None:
    with serving(after(0.05)) as (url, _):
        done = closed_loop(url, [b"film"], {}, concurrency=4, seconds=0.6)
    assert min(done.latencies_ms) >= 50
    mean = sum(done.latencies_ms) / len(done.latencies_ms) / 1000
    assert done.films_per_second == pytest.approx(4 / mean, rel=0.05)


def test_warm_up_is_sent_but_not_counted() -> None:
    def slow_at_first(number: int) -> bytes:
        time.sleep(0.1 if number <= 3 else 0.01)
        return OK if number > 3 else OK.replace(b"200 OK", b"503 Busy")

    with serving(slow_at_first) as (url, seen):
        done = closed_loop(url, [b"film"], {}, concurrency=1, seconds=0.3, warm_up=0.35)
    assert done.statuses.keys() == {200}
    assert len(seen.bodies) > len(done.latencies_ms) + 3
    assert max(done.latencies_ms) < 100


def test_every_caller_counts_at_least_one_request() -> None:
    with serving(after(0.2)) as (url, _):
        done = closed_loop(url, [b"film"], {}, concurrency=3, seconds=0.05, warm_up=0.1)
    assert done.statuses == {200: 3}


def test_other_statuses_count_but_have_no_latency() -> None:
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    with serving(lambda number: busy if number % 2 else OK) as (url, seen):
        done = closed_loop(url, [b"film"], {}, concurrency=1, seconds=0.2)
    assert sum(done.statuses.values()) == len(seen.bodies)
    assert abs(done.statuses[200] - done.statuses[503]) <= 1
    assert len(done.latencies_ms) == done.statuses[200]
    assert done.films_per_second == pytest.approx(done.statuses[200] / done.seconds)


def test_latency_is_to_the_last_byte_and_chunks_are_followed_over_one_connection() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

    with pieces([chunked[:50], chunked[50:]], pause=0.06) as url:
        done = closed_loop(url, [b"film"], {}, concurrency=1, seconds=0.2)
    assert done.failures == {}
    assert min(done.latencies_ms) >= 60
    assert 2 <= done.statuses[200] <= 4


@contextmanager
def pieces(parts: list[bytes], pause: float) -> Iterator[str]:
    """A server of one connection that answers everything with these parts, with a pause before each but the first."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            while connection.recv(65536):
                for number, part in enumerate(parts):
                    time.sleep(pause if number else 0)
                    connection.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        thread.join()


class Wire(asyncio.Transport):
    """A transport that sends nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def abort(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


def received(*parts: bytes, ended: bool = False) -> tuple[int | None, bool]:
    """Status of an answer that arrives in parts, None while it is not whole, and whether the connection stays open."""

    async def receive() -> tuple[int | None, bool]:
        connection = Connection()
        connection.connection_made(Wire())
        answer = connection.send(b"")
        for part in parts:
            connection.data_received(part)
        stays = connection.is_open
        if ended:
            connection.connection_lost(None)
        return (await answer)[0] if answer.done() else None, stays

    return asyncio.run(receive())


@pytest.mark.parametrize(
    ("answer", "status", "stays"),
    [
        (OK, 200, True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, True),
        (b"HTTP/1.1 200 OK\r\nconnection: Close\r\nCONTENT-LENGTH:2\r\n\r\nok", 200, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 200, True),
        (b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n4;a=b\r\n\r\n\r\n\r\n0\r\nT: 1\r\n\r\n", 500, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n", 200, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200, True),
    ],
)
def test_an_answer_ends_at_its_last_byte_however_it_is_cut(answer: bytes, status: int, stays: bool) -> None:
    for size in (1, 3, 7, len(answer)):
        parts = [answer[start : start + size] for start in range(0, len(answer), size)]
        assert received(*parts[:-1]) == (None, True)
        assert received(*parts) == (status, stays)


def test_a_connection_with_more_than_one_answer_to_a_request_is_not_used_again() -> None:
    assert received(OK + OK) == received(OK + b"x") == (200, False)


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    assert received(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def") == (None, True)
    assert received(b"HTTP/1.1 200 OK\r\n\r\nabc", b"def", ended=True) == (200, True)
    with pytest.raises(ConnectionAbortedError, match="before its answer was whole"):
        received(b"HTTP/1.1 200 OK\r\n", ended=True)


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n\r\n", OK.replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")]
)
def test_what_is_not_http_is_told_apart(answer: bytes) -> None:
    with pytest.raises(MalformedAnswer, match="not HTTP/1"):
        received(answer + b"\r\n")


def test_a_lost_request_is_a_failure_and_the_caller_connects_again() -> None:
    with serving(lambda number: None if number == 3 else OK) as (url, seen):
        done = closed_loop(url, [b"film"], {}, concurrency=1, seconds=0.3)
    assert done.failures == {"ConnectionAbortedError": 1}
    assert done.statuses == {200: len(seen.bodies) - 1}
    assert seen.connections == 2


def test_half_an_answer_is_a_failure() -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok"
    with serving(lambda number: half if number == 2 else OK) as (url, seen):
        done = closed_loop(url, [b"film"], {}, concurrency=1, seconds=0.3)
    assert done.failures == {"ConnectionAbortedError": 1}
    assert done.statuses == {200: len(seen.bodies) - 1}


def test_a_server_that_closes_after_each_answer_is_no_failure() -> None:
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    with serving(lambda _: closing) as (url, seen):
        done = closed_loop(url, [b"film"], {}, concurrency=1, seconds=0.2)
    assert done.failures == {}
    assert seen.connections == len(seen.bodies) == done.statuses[200]


def test_large_bodies_arrive_whole() -> None:
    body = bytes(range(256)) * 8192
    with serving(after(0)) as (url, seen):
        done = closed_loop(url, [body], {}, concurrency=2, seconds=0.1)
    assert done.failures == {}
    assert set(seen.bodies) == {body}


def test_a_time_out_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "TIMEOUT_SECONDS", 0.1)

    def third_hangs(number: int) -> bytes:
        time.sleep(0.3 if number == 3 else 0.01)
        return OK

    with serving(third_hangs) as (url, _):
        done = closed_loop(url, [b"film"], {}, concurrency=1, seconds=0.5)
    assert done.failures == {"TimeoutError": 1}
    assert done.statuses[200] >= 3
    assert max(done.latencies_ms) < 100


def test_open_loop_counts_latency_from_the_intended_arrival() -> None:
    """While the server stalls for half a second, 100 arrivals a second wait for it: some 50, from 500 ms down to 0."""
    stalled, lock = 0.5, threading.Lock()

    def one_at_a_time(number: int) -> bytes:
        with lock:
            if number == 20:
                time.sleep(stalled)
        return OK

    with serving(one_at_a_time) as (url, seen):
        done = open_loop(url, [b"film"], {}, rate=100, seconds=1.5)
    assert done.statuses == {200: len(arrivals(100, 1.5))} == {200: len(seen.bodies)}
    waited = [latency for latency in done.latencies_ms if latency > 50]
    first = arrivals(100, 1.5)[19]
    assert len(waited) == pytest.approx(sum(first <= moment < first + 0.45 for moment in arrivals(100, 1.5)), abs=5)
    assert len(waited) > 30
    assert sum(waited) / len(waited) == pytest.approx((500 + 50) / 2, rel=0.25)
    assert done.late == 0


def test_open_loop_holds_its_rate_whatever_the_server_does() -> None:
    with serving(after(0.3)) as (url, seen):
        done = open_loop(url, [b"film"], {}, rate=60, seconds=1)
    planned = arrivals(60, 1)
    assert done.statuses == {200: len(planned)}
    offsets = [moment - seen.times[0] for moment in seen.times]
    assert offsets == pytest.approx([moment - planned[0] for moment in planned], abs=0.1)
    assert done.seconds == pytest.approx(planned[-1] + 0.3, abs=0.1)
    assert done.films_per_second == pytest.approx(len(planned) / done.seconds)


def test_arrivals_that_find_no_room_are_late_and_wait_in_their_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "MAX_IN_FLIGHT", 2)
    with serving(after(0.1)) as (url, _):
        done = open_loop(url, [b"film"], {}, rate=60, seconds=0.5)
    count = len(arrivals(60, 0.5))
    assert done.statuses == {200: count}
    assert done.late >= count - 6
    assert max(done.latencies_ms) > 1000 * (count / 2 * 0.1 - 0.5)


def test_arrivals_are_a_poisson_process_and_the_same_each_time() -> None:
    moments = arrivals(50, 400)
    assert moments == arrivals(50, 400)
    assert len(moments) == pytest.approx(20_000, abs=3 * 20_000**0.5)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert sum(gap > 0.02 for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.01)  # exp(-1)


@pytest.mark.parametrize(
    "run",
    [
        lambda url: closed_loop(url, [b"x"], {}, concurrency=1, seconds=1),
        lambda url: open_loop(url, [b"x"], {}, rate=1, seconds=1),
    ],
)
def test_nobody_there_is_said_at_once(run: Callable[[str], load.Load]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/predictions/x"
    with pytest.raises(ServerUnreachable, match=r"no answer from http://127.*is the server up"):
        run(url)


@pytest.mark.parametrize("url", ["https://127.0.0.1:8080/x", "127.0.0.1:8080/x", "http:///x", "http://127.0.0.1:x/"])
def test_an_address_that_cannot_be_measured_is_refused_with_an_example(url: str) -> None:
    with pytest.raises(ClientError, match=f"for example {load.EXAMPLE_URL}"):
        closed_loop(url, [b"x"], {}, concurrency=1, seconds=1)


def test_arguments_that_make_no_sense_are_refused() -> None:
    url = load.EXAMPLE_URL
    with pytest.raises(ClientError, match="no body"):
        closed_loop(url, [], {}, concurrency=1, seconds=1)
    with pytest.raises(ClientError, match="concurrency is 0, which must be above 0; for example concurrency=8"):
        closed_loop(url, [b"x"], {}, concurrency=0, seconds=1)
    with pytest.raises(ClientError, match="rate is -1"):
        open_loop(url, [b"x"], {}, rate=-1, seconds=1)

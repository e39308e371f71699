"""The web server under clients that are slow, greedy, or stop in the middle."""

import json
import resource
import select
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template import Template, engines
from django.test import Client
from django.urls import clear_url_caches, get_resolver
from project import connections
from project import server as web_server
from project.server import Server, adjustments, warm

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
MEGABYTE = 1024**2


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Says how many bytes came; waits where the path says so."""
    size = len(environ["wsgi.input"].read())
    time.sleep(1.0 if environ["PATH_INFO"] == "/slow" else 0.0)
    body = str(size).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    info = (listener.family, listener.type, listener.proto, listener.getsockname())
    own = adjustments()
    own.cleanup_interval, own.asyncore_loop_timeout = 0, 0.02
    running = Server(application, _sock=listener, adj=own, sockinfo=info, bind_socket=False)
    thread = threading.Thread(target=running.run)
    thread.start()
    yield running
    running.stop()
    thread.join(10)
    running.task_dispatcher.shutdown()
    running.close()


@pytest.fixture
def connect(server: Server) -> Iterator[Callable[..., socket.socket]]:
    """A connection that has sent something; closed afterwards."""
    with ExitStack() as stack:

        def go(sent: bytes = b"", source: str = "127.0.0.1") -> socket.socket:
            address = ("127.0.0.1", int(server.effective_port))
            connection = socket.create_connection(address, 10, source_address=(source, 0))
            stack.enter_context(connection)
            connection.sendall(sent)
            return connection

        yield go


def read(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one answer."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name] = value
        return status, headers, stream.read(int(headers.get("Content-Length", "0")))


def code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


def head(size: int, *lines: str, path: str = "/") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {size}", *lines, "", ""]).encode()


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_answers_and_keeps_the_connection(connect: Callable[..., socket.socket]) -> None:
    connection = connect(GET)
    assert read(connection)[::2] == (200, b"0")
    connection.sendall(head(3) + b"abc")
    assert read(connection)[::2] == (200, b"3")


@pytest.mark.parametrize(
    ("start", "piece"), [(b"GET / HTTP/1.1\r\nX: ", b"x"), (head(MEGABYTE), b"x")], ids=["head", "body"]
)
def test_a_request_that_drips_in_has_a_deadline(
    connect: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch, start: bytes, piece: bytes
) -> None:
    """A byte each 50 ms would keep every timeout of silence from ending it."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.4)
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.4)
    connection = connect(start)
    began = time.monotonic()
    while not select.select([connection], [], [], 0.05)[0] and time.monotonic() < began + 60:
        connection.sendall(piece)
    status, _, body = read(connection)
    assert (status, code(body)) == (408, "too_slow")
    assert 0.4 <= time.monotonic() - began < 20


def test_a_body_that_comes_fast_enough_may_take_longer(
    connect: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 KiB each 0.1 s against 0.2 s and 1 s for each 16 KiB: five pieces take 0.5 s of the 10 they may take."""
    monkeypatch.setattr(connections, "BODY_SECONDS", 0.2)
    connection = connect(head(5 * 32 * 1024))
    for _ in range(5):
        connection.sendall(bytes(32 * 1024))
        time.sleep(0.1)
    assert read(connection)[::2] == (200, b"163840")


def test_an_idle_connection_ends(connect: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)
    silent, busy = connect(), connect(GET)
    assert read(busy)[0] == 200
    until(lambda: is_closed(silent) and is_closed(busy))


def test_who_stops_sending_is_answered(connect: Callable[..., socket.socket]) -> None:
    whole, torn, headless = connect(GET), connect(head(10) + b"abc"), connect(b"GET / HT")
    for connection in (whole, torn, headless):
        connection.shutdown(socket.SHUT_WR)
    assert read(whole)[0] == 200
    for connection in (torn, headless):
        status, _, body = read(connection)
        assert (status, json.loads(body)["error"]["message"]) == (400, "the request ends before it is whole")


def test_one_address_holds_so_many_connections(
    server: Server, connect: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The greedy one loses its oldest, and is answered; the other one keeps what it has."""
    monkeypatch.setattr(web_server, "CONNECTIONS_PER_ADDRESS", 8)
    other = connect(b"GET / HT", "127.0.0.3")
    greedy = [connect(b"GET / HT", "127.0.0.2") for _ in range(20)]
    assert read(connect(GET, "127.0.0.2"))[0] == 200
    until(lambda: len(server.active_channels) <= 9)
    assert [is_closed(connection) for connection in greedy[:12]] == [True] * 12
    assert not is_closed(greedy[-1])
    other.sendall(b"TP/1.1\r\nHost: a\r\n\r\n")
    other.settimeout(5)
    assert read(other)[0] == 200


def test_all_addresses_together_hold_so_many(
    server: Server, connect: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server, "CONNECTIONS", 10)
    for number in range(30):
        connect(b"GET / HT", f"127.0.0.{number + 2}")
    assert read(connect(GET))[0] == 200
    until(lambda: len(server.active_channels) <= 10)


def test_unfinished_bodies_are_bounded(
    server: Server, connect: Callable[..., socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five of 1 MB against 3 MB: the two that wait the longest go."""
    monkeypatch.setattr(web_server, "UNFINISHED_BYTES", 3 * MEGABYTE)
    sent = []
    for _ in range(5):
        sent.append(connect(head(2 * MEGABYTE) + bytes(MEGABYTE)))
        time.sleep(0.05)
    until(lambda: len(server.active_channels) == 3)
    assert [is_closed(connection) for connection in sent] == [True, True, False, False, False]


def test_a_big_body_lies_in_the_folder_and_leaves_nothing(
    folder: Path, server: Server, connect: Callable[..., socket.socket]
) -> None:
    connection = connect(head(4 * MEGABYTE) + bytes(3 * MEGABYTE))
    until(lambda: any(channel.unfinished_bytes == 3 * MEGABYTE for channel in server._open()))
    held = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    assert any(target.startswith(str(folder)) and "(deleted)" in target for target in held)
    assert list(folder.iterdir()) == []  # whatever ends this process, the file is gone
    connection.sendall(bytes(MEGABYTE))
    assert read(connection)[::2] == (200, str(4 * MEGABYTE).encode())


def test_a_full_disk_is_503(connect: Callable[..., socket.socket]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, hard))
    try:
        connection = connect(head(3 * MEGABYTE) + bytes(2 * MEGABYTE))
        status, headers, body = read(connection)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (status, code(body), headers["Retry-After"]) == (503, "unavailable", "30")
    assert "nothing was kept" in json.loads(body)["error"]["hint"]


def test_too_large_is_read_to_its_end_and_not_kept(
    folder: Path, connect: Callable[..., socket.socket], settings: Any
) -> None:
    settings.MAX_UPLOAD_BYTES, settings.FORM_BYTES = MEGABYTE, 1000
    connection = connect(head(8 * MEGABYTE))
    connection.sendall(bytes(8 * MEGABYTE))
    status, _, body = read(connection)
    assert (status, code(body), json.loads(body)["error"]["message"]) == (413, "too_large", "the request has 8 MB")
    for refused_at_once in (head(10**12), head(8 * MEGABYTE, "Expect: 100-continue")):
        assert read(connect(refused_at_once))[0] == 413


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 411),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ],
)
def test_malformed_requests_are_error_objects(connect: Callable[..., socket.socket], sent: bytes, status: int) -> None:
    answer = read(connect(sent))
    assert (answer[0], answer[1]["Content-Type"]) == (status, "application/json")
    assert json.loads(answer[2])["error"]["message"]


def test_head_has_no_body(connect: Callable[..., socket.socket]) -> None:
    connection = connect(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    with connection.makefile("rb") as stream:
        lines = iter(stream.readline, b"")
        assert next(lines).startswith(b"HTTP/1.1 200")
        assert b"Content-Length: 1\r\n" in list(iter(lambda: next(lines), b"\r\n"))
        assert next(lines).startswith(b"HTTP/1.1 200")


def test_stop_answers_what_is_under_way(server: Server, connect: Callable[..., socket.socket]) -> None:
    connection = connect(head(0, path="/slow"))
    until(lambda: any(channel.requests for channel in server.active_channels.values()))
    server.stop()
    assert read(connection)[0] == 200


def test_a_warm_server_compiles_nothing_for_its_first_visitor(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    engines["django"].engine.template_loaders[0].reset()
    clear_url_caches()
    warm()
    assert "url_patterns" in vars(get_resolver())
    compiled: list[str] = []
    compile_nodelist = Template.compile_nodelist

    def note(template: Template) -> object:
        compiled.append(str(template.origin))
        return compile_nodelist(template)

    monkeypatch.setattr(Template, "compile_nodelist", note)
    for address in ("/", "/films/", "/worklist/"):
        assert client.get(address).status_code == 200
    assert [origin for origin in compiled if str(settings.WEB) in origin] == []

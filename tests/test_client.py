import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from test_schema import ANSWER

from osteolens import client as client_module
from osteolens.batch.answerers.http.send import Transport
from osteolens.client import AsyncClient, Client, KeyRefused, address, clients, read_key
from osteolens.errors import ClientError, RequestRefused, ServerUnreachable
from osteolens.options import parse_options
from osteolens.rows import ErrorAnswer, ErrorDetail, dump

GOOD = httpx.Response(200, content=json.dumps(ANSWER).encode())


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(client_module.KEY_VARIABLE, raising=False)
    monkeypatch.delenv(client_module.URL_VARIABLE, raising=False)
    monkeypatch.setattr(clients, "wait_exponential_jitter", lambda **_: lambda _: 0.0)


def client(handle: Callable[[httpx.Request], httpx.Response], **options: str) -> Client:
    return Client(transport=httpx.MockTransport(handle), **options)  # type: ignore[arg-type]


def test_the_film_the_options_and_the_key_are_sent() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return GOOD

    with client(handle, key="secret") as connection:
        answer = connection.predict(b"film", model="knee", options={"explain": "none", "weight_kg": "70"})
    assert answer.label == "osteopenia"
    (request,) = seen
    assert str(request.url) == "http://127.0.0.1:8080/predictions/knee"
    assert request.content == b"film"
    assert request.headers["Authorization"] == "Bearer secret"
    assert request.headers["X-OsteoLens-Explain"] == "none"
    assert request.headers["X-OsteoLens-Weight-Kg"] == "70"


def test_the_key_comes_from_argument_variable_or_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers.get("Authorization"))
        return GOOD

    client(handle).predict(b"film")
    (tmp_path / "key_file.json").write_text('{"inference": {"key": "from-file"}}')
    client(handle).predict(b"film")
    monkeypatch.setenv(client_module.KEY_VARIABLE, "from-variable")
    client(handle).predict(b"film")
    client(handle, key="given").predict(b"film")
    assert keys == [None, "Bearer from-file", "Bearer from-variable", "Bearer given"]


def test_an_error_answer_keeps_status_code_message_and_hint() -> None:
    body = dump(ErrorAnswer(error=ErrorDetail(code="unsupported_type", message="found a GIF", hint="send a JPEG")))
    with pytest.raises(RequestRefused, match=r"found a GIF \(send a JPEG\)") as caught:
        client(lambda _: httpx.Response(415, content=body)).predict(b"film")
    assert (caught.value.status, caught.value.code) == (415, "unsupported_type")


def test_the_front_end_s_own_errors_are_explained() -> None:
    body = {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}
    with pytest.raises(RequestRefused, match=r"Token Authorization failed.*OSTEOLENS_KEY"):
        client(lambda _: httpx.Response(400, json=body)).predict(b"film")
    with pytest.raises(RequestRefused, match=r"status 413.*64 MiB"):
        client(lambda _: httpx.Response(413)).predict(b"film")


@pytest.mark.parametrize(("status", "calls"), [(503, 4), (429, 4), (400, 1), (413, 1), (415, 1), (500, 1)])
def test_only_what_may_succeed_later_is_tried_again(status: int, calls: int) -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status)

    with pytest.raises(RequestRefused):
        client(handle).predict(b"film")
    assert len(seen) == calls


def test_a_busy_server_is_asked_until_it_answers() -> None:
    responses = [httpx.Response(503), httpx.Response(503), GOOD]
    assert client(lambda _: responses.pop(0)).predict(b"film").id == "a"


def test_a_broken_connection_is_tried_again_but_not_an_absent_server() -> None:
    calls: list[int] = []

    def broken(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        if len(calls) == 1:
            raise httpx.ReadError("reset")
        return GOOD

    assert client(broken).predict(b"film").id == "a"
    calls.clear()

    def absent(_: httpx.Request) -> httpx.Response:
        calls.append(1)
        raise httpx.ConnectError("refused")

    with pytest.raises(ServerUnreachable, match=r"no answer from http://127.0.0.1:8080: refused.*make serve"):
        client(absent).predict(b"film")
    assert len(calls) == 1


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", json.dumps([ANSWER]).encode()])
def test_an_answer_from_something_else_is_not_believed(body: bytes) -> None:
    with pytest.raises(ClientError):
        client(lambda _: httpx.Response(200, content=body)).predict(b"film")


def test_one_renewal_serves_all_who_wait_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three threads are refused with the key of the server before; whichever is first reads the file."""
    key_file = tmp_path / "key_file.json"
    write = lambda key: key_file.write_text(json.dumps({"inference": {"key": key}}))  # noqa: E731
    write("old")
    refused, renewals = threading.Barrier(3), list[Path]()

    def handle(request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"] == "Bearer new":
            return GOOD
        refused.wait(10)  # all three have sent the old key before the first hears of it
        return httpx.Response(400, json={"code": 400, "type": "InvalidKeyException", "message": "expired"})

    def read_and_note(path: Path) -> str | None:
        renewals.append(path)
        return read_key(path)

    with Client(key_file=key_file, transport=httpx.MockTransport(handle)) as connection:
        write("new")
        monkeypatch.setattr(address, "read_key", read_and_note)
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(connection.ask, b"film") for _ in range(3)]
            assert [answer.result().label for answer in answers] == ["osteopenia"] * 3
    assert renewals == [key_file]


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (httpx.Response(200, json={"status": "Healthy"}), None),
        (httpx.Response(404, json={"code": 404, "message": "no such address"}), None),  # not of every server
        (httpx.Response(500, json={"status": "Unhealthy"}), RequestRefused),
        (httpx.Response(400, json={"code": 400, "type": "InvalidKeyException", "message": "wrong"}), KeyRefused),
        (httpx.ConnectError("refused"), ServerUnreachable),
    ],
)
def test_a_ping_needs_a_server_with_workers_that_takes_the_key(
    response: httpx.Response | httpx.ConnectError, error: type[Exception] | None
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.headers["Authorization"]) == ("/ping", "Bearer k")
        if isinstance(response, httpx.ConnectError):
            raise response
        return response

    with client(handle, key="k") as connection:
        if error is None:
            connection.ping(1.0)
            return
        with pytest.raises(error):
            connection.ping(1.0)


def test_a_key_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ClientError, match="is neither a TorchServe key file nor a key alone"):
        read_key(tmp_path / "broken.json")
    assert read_key(tmp_path / "absent.json") is None
    (tmp_path / "token").write_text("0123456789abcdef-_XYZ\n")
    assert read_key(tmp_path / "token") == "0123456789abcdef-_XYZ"


PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


class Listener(BaseHTTPRequestHandler):
    """Counts who comes; as a proxy it would see films, keys and facts about patients."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(GOOD.content)))
        self.end_headers()
        self.wfile.write(GOOD.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listeners() -> Iterator[list[str]]:
    """Addresses of a server and of a proxy."""
    Listener.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as one, ThreadingHTTPServer(("127.0.0.1", 0), Listener) as two:
        for server in (one, two):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        yield [f"http://127.0.0.1:{server.server_address[1]}" for server in (one, two)]
        one.shutdown()
        two.shutdown()


async def ask(server: str, transport: httpx.AsyncBaseTransport | None) -> str:
    async with AsyncClient(server, transport=transport) as connection:
        return (await connection.predict(b"film", options={"age": "63"})).label


@pytest.mark.parametrize("transport", [None, Transport])
def test_a_server_on_this_machine_is_asked_without_a_proxy_and_another_through_it(
    listeners: list[str], monkeypatch: pytest.MonkeyPatch, transport: type[Transport] | None
) -> None:
    server, proxy = listeners
    for name in PROXIES:
        monkeypatch.setenv(name, proxy)
    with Client(server) as connection:
        assert connection.predict(b"film").label == "osteopenia"
    assert asyncio.run(ask(server, transport and transport(server))) == "osteopenia"
    assert Listener.asked == ["/predictions/efficientnet"] * 2  # a proxy is asked for a whole address
    assert asyncio.run(ask("http://films.test:8080", transport and transport("http://films.test:8080"))) == "osteopenia"
    assert Listener.asked[2:] == ["http://films.test:8080/predictions/efficientnet"]


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_a_line_and_stops_nobody_on_this_machine(
    listeners: list[str], monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    for name in PROXIES:
        monkeypatch.setenv(name, proxy)
    for make in (Client, AsyncClient, Transport):
        with pytest.raises(ClientError, match=r"^the proxy .*in the environment.* cannot be used: .*$"):
            make("http://films.test:8080")
    with Client(listeners[0]) as connection:
        assert connection.predict(b"film").label == "osteopenia"


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://localhost:8080", True), ("http://127.8.9.1", True), ("http://[::1]:8080", True),
        ("http://a.localhost", True), ("http://localhost.example.com", False), ("http://10.0.0.1", False),
        ("http://127.0.0.1.example.com", False),
    ],
)  # fmt: skip
def test_which_addresses_are_on_this_machine(url: str, here: bool) -> None:
    assert client_module.is_loopback(url) is here


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/?age=63", "http://127.0.0.1:8080#age"])
def test_an_address_with_a_query_is_refused_because_it_would_be_ignored(url: str) -> None:
    with pytest.raises(ClientError, match="would be ignored: options such as age are headers"):
        Client(url)


def test_a_models_name_stays_one_part_of_the_address() -> None:
    paths: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.raw_path)
        return GOOD

    client(handle).predict(b"film", model="knee?age=63/../x")
    assert paths == [b"/predictions/knee%3Fage%3D63%2F..%2Fx"]


def test_options_travel_percent_encoded_and_never_as_a_second_header() -> None:
    sent: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.extend(value for name, value in request.headers.raw if name == b"X-OsteoLens-Target")
        return GOOD

    client(handle).predict(b"film", options={"target": "künstlich"})
    assert sent == [b"k%C3%BCnstlich"]
    with pytest.raises(ClientError, match=r"option age is '63\\r\\nX: 1': one line"):
        client(handle).predict(b"film", options={"age": "63\r\nX: 1"})


@pytest.mark.parametrize("label", ["Östeopenie", "normal/mild", "10%", "100%25", "osteoporosis", "骨粗鬆症"])
def test_any_label_can_be_a_target(label: str) -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return GOOD

    client(handle, key="secret").predict(b"film", options={"target": label})
    value = dict(seen[0].headers.raw)[b"X-OsteoLens-Target"].decode("ascii")
    assert parse_options({"target": value}, (label, "other")).target == label

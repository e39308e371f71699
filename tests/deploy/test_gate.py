"""The gate lets in who has the token, and nobody else; with a real nginx where there is one."""

import importlib.util
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType

import httpx
import pytest

from osteolens.errors import ServerError
from osteolens.serving.ports import free_ports

DEPLOY = Path(__file__).parents[2] / "deploy"
TOKEN, KEY = "0123456789abcdef" * 2, "inner-Key"


@pytest.fixture(scope="module")
def gate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gate", DEPLOY / "gate.py")
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_a_token_is_read_without_the_newline(gate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert gate.read_token(tmp_path / "token") == TOKEN


@pytest.mark.parametrize("text", ["", "replace-me", TOKEN[:-1], f"{TOKEN} x", f'{TOKEN}"', f"{TOKEN}.*", f"{TOKEN}é"])
def test_what_is_no_token_is_refused_and_not_shown(gate: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ServerError, match="openssl rand -hex 32") as refused:
        gate.read_token(tmp_path / "token")
    assert not text or text not in str(refused.value)


def test_a_missing_token_file_is_named(gate: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="absent"):
        gate.read_token(tmp_path / "absent")


class _Echo(BaseHTTPRequestHandler):
    """Says which server was asked, with which key, for how many bytes."""

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        size = len(sent)
        time.sleep(0.3 * (sent == b"slow"))
        body = f"{self.server.server_port} {self.headers['Authorization']} {self.path} {size}".encode()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def echoes() -> Iterator[tuple[int, int]]:
    """Ports of what stands in for TorchServe's inference and metrics APIs."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Echo) for _ in range(2)]
    for server in servers:
        Thread(target=server.serve_forever, daemon=True).start()
    yield servers[0].server_port, servers[1].server_port
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def guarded(
    gate: ModuleType, echoes: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    if not shutil.which("nginx"):
        pytest.skip("needs nginx")
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("gate")
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in zip((8000, 8080, 8082), (port, *echoes), strict=True):
        text, count = re.subn(rf"\b{old}\b", str(new), text)
        assert count == 1
    gate.NGINX_CONF = folder / "source" / "nginx.conf"
    gate.NGINX_CONF.parent.mkdir()
    gate.NGINX_CONF.write_text(text if os.geteuid() else f"user root;\n{text}")
    nginx = gate.start_nginx(folder, TOKEN, KEY)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        wait_for(client)
        yield client
    nginx.terminate()
    assert nginx.wait(timeout=60) == 0


def wait_for(client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get("/ping")
        except httpx.ConnectError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.mark.parametrize("path", ["/predictions/knee", "/metrics"])
@pytest.mark.parametrize("sent", [None, "", TOKEN, f"Bearer {TOKEN.upper()}", f"Bearer {TOKEN}0", f"Bearer {KEY}"])
def test_without_the_token_nobody_comes_in(guarded: httpx.Client, path: str, sent: str | None) -> None:
    refused = guarded.get(path, headers={} if sent is None else {"Authorization": sent})
    assert (refused.status_code, refused.json()["type"]) == (401, "InvalidKeyException")


def test_the_token_is_changed_into_torchserves_key(guarded: httpx.Client, echoes: tuple[int, int]) -> None:
    films, metrics = echoes
    known = {"Authorization": f"Bearer {TOKEN}"}
    film = bytes(6 * 1024**2)  # more than stays in memory
    passed = guarded.post("/predictions/knee", content=film, headers=known)
    assert passed.text == f"{films} Bearer {KEY} /predictions/knee {len(film)}"
    assert guarded.get("/metrics", headers=known).text == f"{metrics} Bearer {KEY} /metrics 0"
    assert guarded.get("/ping").text == f"{films} Bearer {KEY} /ping 0"  # probes have no token


@pytest.mark.parametrize("path", ["/", "/models", "/models/knee", "/token", "/predictions/../models", "/pings"])
def test_nothing_else_is_behind_it(guarded: httpx.Client, path: str) -> None:
    assert guarded.get(path, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 404


def test_a_body_that_torchserve_would_refuse_does_not_reach_it(guarded: httpx.Client) -> None:
    head = f"POST /predictions/knee HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: "
    with socket.create_connection((guarded.base_url.host, guarded.base_url.port or 80), timeout=5) as connection:
        connection.sendall(f"{head}{68157440 + 1}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("query", "kind", "status", "code", "hint"),
    [
        ("?age=63", "image/jpeg", 400, "invalid_option", "X-OsteoLens-Age: 63"),
        ("", "application/x-www-form-urlencoded", 415, "unsupported_type", "curl -T"),
        ("", "Application/X-WWW-form-urlencoded; charset=utf-8", 415, "unsupported_type", "octet-stream"),
        ("", "multipart/form-data; boundary=", 400, "invalid_option", "as the body"),
        ("", 'multipart/form-data; charset=x; boundary=""', 400, "invalid_option", "as the body"),
    ],
)
def test_what_would_be_misread_or_a_500_is_an_error_object(
    guarded: httpx.Client, query: str, kind: str, status: int, code: str, hint: str
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    refused = guarded.post(f"/predictions/knee{query}", content=b"film", headers=headers)
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (status, code)
    assert hint in error["hint"]
    assert guarded.post("/predictions/knee", headers={"Content-Type": kind}).status_code == 401  # the token comes first


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data; boundary=x",
        'multipart/form-data; boundary="x"',
        "multipart/form-data; charset=a; boundary=b",
    ],
)
def test_a_form_passes_up_to_its_own_limit(guarded: httpx.Client, echoes: tuple[int, int], kind: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    passed = guarded.post("/predictions/knee", content=bytes(16 * 1024**2), headers=headers)
    assert passed.text == f"{echoes[0]} Bearer {KEY} /predictions/knee {16 * 1024**2}"
    refused = guarded.post("/predictions/knee", content=bytes(16 * 1024**2 + 1), headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
    outside = guarded.post("/forms/predictions/knee", content=b"", headers=headers)
    assert outside.status_code == 404


def test_a_client_that_closes_its_sending_half_gets_its_answer(guarded: httpx.Client) -> None:
    request = (
        f"POST /predictions/knee HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 4\r\n\r\nslow"
    )
    with socket.create_connection((guarded.base_url.host, guarded.base_url.port or 80), timeout=5) as connection:
        connection.sendall(request.encode())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


def test_the_key_is_readable_by_its_owner_alone(gate: ModuleType, guarded: httpx.Client) -> None:
    assert (gate.NGINX_CONF.parents[1] / gate.KEY_CONF).stat().st_mode & 0o777 == 0o600

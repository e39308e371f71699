"""`manage.py serve_web`: everything starts, nothing stays behind, and a killed worker loses nothing."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from fake_reader import FakeReader, listening
from web_films import film_bytes

from osteolens.serving.ports import free_ports

pytestmark = pytest.mark.slow
MANAGE = Path(__file__).parents[2] / "web" / "manage.py"
WAIT_SECONDS = 30.0


class App:
    """A running `serve_web`."""

    def __init__(self, folder: Path, reader_port: int, bind: str = "127.0.0.1:0", **variables: str) -> None:
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("OSTEOLENS_")}
        own = {"OSTEOLENS_DATA": str(folder / "data"), "OSTEOLENS_KEY": "k"}
        own["OSTEOLENS_URL"] = f"http://127.0.0.1:{reader_port}"
        # The tests' own database stays theirs.
        inherited.pop("DATABASE_URL", None)
        inherited.pop("DJANGO_SETTINGS_MODULE", None)
        self.process = subprocess.Popen(
            [sys.executable, MANAGE, "serve_web", "--bind", bind], env=inherited | own | variables, cwd=folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []

    def wait_until_ready(self) -> str:
        """Its address."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.strip())
            if match := re.fullmatch(r"The app: (http://\S+)/", line.strip()):
                return match[1]
        raise AssertionError(self.lines)

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def web_processes(self) -> list[psutil.Process]:
        return [child for child in self.children() if is_alive(child) and "project.server" in child.cmdline()]

    def queue_worker(self) -> psutil.Process:
        return next(child for child in self.children() if "answer_films" in child.cmdline())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """Start apps that are gone afterwards whatever happens."""
    started: list[App] = []

    def go(*options: object, **variables: str) -> App:
        started.append(App(tmp_path, *options, **variables))  # type: ignore[arg-type]
        return started[-1]

    yield go
    for app in started:
        if app.process.poll() is None:
            app.process.terminate()
        app.process.wait(20)


def logged_in(url: str, password: str) -> httpx.Client:
    browser = httpx.Client(base_url=url, follow_redirects=False)
    token = browser.get("/session").json()["csrf"]
    data = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
    assert browser.post("/accounts/login", data=data).status_code == 302
    return browser


def upload(browser: httpx.Client, content: bytes) -> httpx.Response:
    token = browser.get("/session").json()["csrf"]
    return browser.post("/upload", files={"file": ("a.png", content)}, headers={"X-CSRFToken": token})


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_first_start_stop_and_a_port_that_is_taken(start: Callable[..., App]) -> None:
    (nobody,) = free_ports(1)
    app = start(nobody)
    url = app.wait_until_ready()
    (line,) = [line for line in app.lines if "one-time password" in line]
    browser = logged_in(url, line.split()[-1])
    assert browser.get("/").headers["Location"] == "/accounts/password"
    assert httpx.get(f"{url}/static/django_htmx/htmx-2.min.js").status_code == 200

    second = start(nobody, url.removeprefix("http://"))
    output, _ = second.process.communicate(timeout=120)
    assert second.process.returncode == 1
    assert "cannot listen on" in output
    assert "Traceback" not in output

    children = app.children()
    assert len(children) == 3  # two web processes, the queue worker
    app.process.send_signal(signal.SIGINT)
    assert app.process.wait(20) == 0
    assert not any(map(is_alive, children))


def test_killed_workers_lose_nothing(start: Callable[..., App]) -> None:
    """The reader is away while films come in; the queue's worker is killed; then all are answered, each once."""
    (port,) = free_ports(1)
    app = start(port, OSTEOLENS_ADMIN_PASSWORD="given from outside")
    url = app.wait_until_ready()
    browser = logged_in(url, "given from outside")
    sent = [upload(browser, film_bytes(seed)) for seed in range(3)]
    assert [(response.status_code, response.json()["state"]) for response in sent] == [(201, "waiting")] * 3
    worker = app.queue_worker()
    worker.kill()
    worker.wait(10)
    wait_for(lambda: any("answer_films" in child.cmdline() for child in app.children()))
    reader = FakeReader()
    with listening(reader, port):
        wait_for(lambda: all(browser.get(f"{film.json()['url']}state").json()["answered"] == 3 for film in sent))
        assert len(reader.asked) == 9

        # A web process that is killed is replaced; a film that comes meanwhile is answered by the other one.
        app.web_processes()[0].kill()
        wait_for(lambda: upload_again(browser))
        wait_for(lambda: len(app.web_processes()) == 2)

    # When the command itself is killed, nothing stays behind.
    children = app.children()
    app.process.kill()
    wait_for(lambda: not any(map(is_alive, children)))


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def upload_again(browser: httpx.Client) -> bool:
    try:
        return upload(browser, film_bytes(9)).json()["state"] == "answered"
    except httpx.TransportError:
        return False


HELD = {
    "a slow head": b"GET / HTTP/1.1\r\nHost: ",
    "a slow body": b"POST /accounts/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nusername=",
    "silence": b"",
    "an idle connection": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("sources", [1, 200], ids=["one address", "many addresses"])
def test_pages_answer_while_200_slow_clients_hold_connections(start: Callable[..., App], sources: int) -> None:
    """No log-in is needed to hold a connection; a quarter of them has closed its sending half."""
    (nobody,) = free_ports(1)
    url = start(nobody, OSTEOLENS_ADMIN_PASSWORD="given from outside").wait_until_ready()
    port = int(url.rpartition(":")[2])
    with ExitStack() as stack:
        for number in range(200):
            source = (f"127.0.1.{number % sources + 1}", 0)
            held = socket.create_connection(("127.0.0.1", port), 10, source_address=source)
            stack.enter_context(held)
            held.sendall(list(HELD.values())[number % len(HELD)])
            if number % 16 < len(HELD):
                with suppress(OSError):  # it may have been closed for a newer one
                    held.shutdown(socket.SHUT_WR)
        seconds = []
        browser = logged_in(url, "given from outside")
        paths = "/healthz", "/", "/films/", "/static/osteolens.css"
        for path in paths:
            browser.get(path)  # the first visit also loads what pages need
        for _ in range(5):
            for path in paths:
                began = time.monotonic()
                assert browser.get(path).status_code == 200
                seconds.append(time.monotonic() - began)
        assert upload(browser, film_bytes()).status_code == 201
    assert max(seconds) < 1.0


def test_what_dead_requests_left_is_gone_after_the_start(start: Callable[..., App], tmp_path: Path) -> None:
    (nobody,) = free_ports(1)
    folder = tmp_path / "data" / "under_way"
    folder.mkdir(parents=True)
    (folder / "tmp1234.upload.png").write_bytes(film_bytes())
    start(nobody).wait_until_ready()
    assert list(folder.iterdir()) == []
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    # A second server in the same folder leaves what may be under way in the first.
    (folder / "tmp5678.upload.png").write_bytes(film_bytes())
    start(nobody).wait_until_ready()
    assert [path.name for path in folder.iterdir()] == ["tmp5678.upload.png"]


def test_what_was_searched_for_is_not_logged(start: Callable[..., App]) -> None:
    (nobody,) = free_ports(1)
    app = start(nobody, OSTEOLENS_ADMIN_PASSWORD="given from outside")
    url = app.wait_until_ready()
    browser = logged_in(url, "given from outside")
    for path in ("/films/", "/nowhere", "/films/x", "/api/films", "/static/x"):
        browser.get(path, params={"q": "Smith, left knee"})
    app.process.terminate()
    output, _ = app.process.communicate(timeout=120)
    assert "Smith" not in output


def test_a_malformed_setting_is_one_line(start: Callable[..., App]) -> None:
    app = start(1, OSTEOLENS_RETENTION_DAYS="for ever")
    output, _ = app.process.communicate(timeout=120)
    assert app.process.returncode == 1
    assert output.startswith("error: OSTEOLENS_RETENTION_DAYS is 'for ever'")
    assert len(output.splitlines()) == 1
    malformed = start(1, "nonsense")
    output, _ = malformed.process.communicate(timeout=120)
    assert "for example --bind 127.0.0.1:8000" in output

"""What the maintained engine does of its own: TLS, a full queue, and a stop that finishes what it has."""

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from conftest import encoded, knee_like
from stores import CONFIG, add_twin, build_archive

from osteolens.serving.hosting import server_class
from osteolens.serving.torchserve import Server

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate")]

FILM = encoded(knee_like(), "JPEG")
LARGE = encoded(knee_like(2000, 1600))
"""Takes long enough for others to come meanwhile."""
CALLERS = 12


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, *names, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    return files


@pytest.fixture(scope="module")
def server(
    model_folder: Path, exports: Path, certificate: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Behind TLS, with room for one waiting request in each process, and a twin that has no time for its answers."""
    archive = build_archive(model_folder, exports, tmp_path_factory.mktemp("store"))
    add_twin(archive, "hasty", {"responseTimeout": "0"})
    made = server_class("uvicorn")(CONFIG, port=0, model_store=archive.parent, tls=certificate)
    made.settings["job_queue_size"] = "2"
    with made as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server, certificate: tuple[Path, Path]) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.inference_key}"}
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    with httpx.Client(base_url=server.url, headers=headers, verify=trusted, timeout=30) as opened:
        yield opened


def ask(client: httpx.Client, film: bytes = FILM) -> httpx.Response:
    return client.post("/predictions/efficientnet", content=film)


def test_films_go_over_tls_alone(server: Server, client: httpx.Client) -> None:
    assert ask(client).raise_for_status().json()["label"]
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{server.url}/ping")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.url.replace('https', 'http')}/ping")


def test_who_finds_no_room_is_told_when_to_come_again(client: httpx.Client) -> None:
    with ThreadPoolExecutor(CALLERS) as pool:
        responses = list(pool.map(lambda _: ask(client, LARGE), range(CALLERS)))
    busy = [response for response in responses if response.status_code == 503]
    assert busy
    assert {response.status_code for response in responses} == {200, 503}
    for response in busy:
        assert response.json()["error"]["code"] == "busy"
        assert int(response.headers["Retry-After"]) >= 1
    assert ask(client).status_code == 200


def test_a_film_that_takes_too_long_costs_its_process_and_nothing_else(server: Server, client: httpx.Client) -> None:
    before = set(server.processes())
    stuck = client.post("/predictions/hasty", content=FILM)
    assert (stuck.status_code, stuck.json()["error"]["code"]) == (500, "timeout")
    deadline = time.monotonic() + 60
    while not (fresh := set(server.processes()) - before) or len(server.processes()) < len(before):
        assert time.monotonic() < deadline
        with suppress(httpx.TransportError):  # a connection to the process that ends
            assert ask(client).status_code == 200
    assert len(fresh) == 1
    assert ask(client).status_code == 200


def test_it_answers_what_it_has_before_it_stops(server: Server, client: httpx.Client) -> None:
    """Last in this file."""
    processes = [psutil.Process(pid) for pid in server.processes()]
    with ThreadPoolExecutor(2) as pool:
        under_way = [pool.submit(ask, client, LARGE) for _ in range(2)]
        time.sleep(0.03)
        begun = time.monotonic()
        server.stop()
    assert time.monotonic() - begun < 5  # a connection that its client keeps open does not hold it up
    assert [request.result().status_code for request in under_way] == [200, 200]
    assert psutil.wait_procs(processes, timeout=1)[1] == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/ping")

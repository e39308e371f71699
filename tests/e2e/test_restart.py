"""`osteolens serve --web` outlives its server: films are kept meanwhile, and answered when it has started again."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from conftest import encoded, knee_like
from stores import CONFIG, build_archive

pytestmark = pytest.mark.slow

WAIT_SECONDS = 300.0
PASSWORD = "given from outside"
PATIENCE = 4.0
# What `osteolens serve --web` does, which has two minutes of patience with a model that has no worker.
SERVE = f"""
import sys
from pathlib import Path
from osteolens.serving import hosting, keeper
keeper.SILENT_SECONDS, keeper.LOOK_SECONDS = {PATIENCE}, 0.5
server = hosting.server_class(sys.argv[1])
hosting.run(server(Path({str(CONFIG)!r}), port=0, model_store=Path(sys.argv[2]), folder=Path.cwd()), "127.0.0.1:0")
"""


class Served:
    """A server and the app, with a browser that is logged in."""

    def __init__(self, engine: str, store: Path, folder: Path) -> None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("OSTEOLENS_")}
        environment.pop("DATABASE_URL", None)
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, engine, store], cwd=folder, stdout=log, stderr=log,
                env=environment | {"OSTEOLENS_ADMIN_PASSWORD": PASSWORD, "OSTEOLENS_LOG_FORMAT": "json"},
            )  # fmt: skip
        wait_for(lambda: "The app: " in self.text())
        (url,) = re.findall(r"The app: (http://\S+)/", self.text())
        self.browser = httpx.Client(base_url=url, timeout=30)
        token = self.browser.get("/session").json()["csrf"]
        data = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token}
        assert self.browser.post("/accounts/login", data=data).status_code == 302
        self.films = 0

    def text(self) -> str:
        return self.log.read_text()

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those whose command line holds one of the words."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if any(word in " ".join(child.cmdline()) for word in words)]

    def upload(self) -> str:
        """Another film; the address of its state."""
        token, self.films = self.browser.get("/session").json()["csrf"], self.films + 1
        film = encoded(knee_like(seed=self.films), "JPEG")
        sent = self.browser.post("/upload", files={"file": ("a.jpg", film)}, headers={"X-CSRFToken": token})
        assert sent.status_code == 201
        return f"{sent.json()['url']}state"

    def is_answered(self, state: str) -> bool:
        return bool(self.browser.get(state).json()["state"] == "answered")

    def page(self) -> str:
        return self.browser.get("/").text

    def close(self) -> None:
        self.browser.close()
        self.process.terminate()
        self.process.wait(60)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def store(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(model_folder, exports, tmp_path_factory.mktemp("store")).parent


@pytest.fixture
def serve(store: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def go(engine: str) -> Served:
        started.append(Served(engine, store, tmp_path))
        return started[-1]

    yield go
    for served in started:
        served.close()


ENGINES = {"uvicorn": "-m osteolens.serving.asgi /", "torchserve": "org.pytorch.serve.ModelServer"}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_is_killed_or_loses_its_workers_costs_no_film(serve: Callable[..., Served], engine: str) -> None:
    served = serve(engine)
    before = served.upload()
    wait_for(lambda: served.is_answered(before))
    for process in served.processes(ENGINES[engine]):
        process.kill()
    waiting = [served.upload() for _ in range(2)]  # the two web processes hold the old key
    assert "Reading has been away since" in served.page()
    wait_for(lambda: all(map(served.is_answered, waiting)))
    after = served.upload()
    wait_for(lambda: served.is_answered(after))
    assert "Reading has been away" not in served.page()
    assert "cannot be reached" not in served.browser.get(after.removesuffix("state")).text
    assert re.search(r"(TorchServe|uvicorn) ended.*; it is started again in 1 s", served.text())
    assert served.text().count(" answers again") == 1

    # What the workers load is gone, and they are killed: neither engine can replace them by itself.
    workers = served.processes("model_service_worker.py", "osteolens.serving.asgi.worker")
    assert len(workers) == 2
    (private,) = set(re.findall(r"/\S*/osteolens-[^/\s]+", " ".join(" ".join(each.cmdline()) for each in workers)))
    shutil.rmtree(Path(private) / "models")
    for worker in workers:
        worker.kill()
    last = served.upload()
    wait_for(lambda: served.is_answered(last))
    assert f"has had a model without a worker for {PATIENCE:.0f} s; it is started again in" in served.text()
    assert served.process.poll() is None
    # Meanwhile, both engines' logs and the app's lines were JSON objects.
    lines = re.findall(r"^{.*", served.text(), re.MULTILINE)
    for path in (served.log.parent / "logs").glob("*_log.log"):
        lines += path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert any("/predictions/efficientnet" in str(event.get("route", event.get("message"))) for event in events)
    assert {"POST /upload 201"} <= {event["message"] for event in events if event["logger"] == "osteolens.requests"}

"""One running server of each engine for all live tests of a session."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from stores import CONFIG, add_backend_twins, add_each_knee_twin, add_patient_twin, build_archive

from osteolens.serving.hosting import server_class
from osteolens.serving.torchserve import Server

ENGINES = ("torchserve", "uvicorn")


@pytest.fixture(scope="session")
def torchserve(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves `efficientnet`, the same for each knee and by two other backends, and a twin that waits for a batch."""
    store = tmp_path_factory.mktemp("store")
    archive = build_archive(model_folder, exports, store)
    add_patient_twin(archive)
    add_each_knee_twin(archive)
    add_backend_twins(model_folder, exports, store)
    with Server(CONFIG, port=0, model_store=store) as running:
        yield running


@pytest.fixture(scope="session")
def uvicorn(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serves `efficientnet`, and the same for each knee."""
    archive = build_archive(model_folder, exports, tmp_path_factory.mktemp("store"))
    add_each_knee_twin(archive)
    with server_class("uvicorn")(CONFIG, port=0, model_store=archive.parent) as running:
        yield running


@pytest.fixture(scope="module", params=ENGINES)
def server(request: pytest.FixtureRequest) -> Server:
    """Each engine; the tests of a module run with the one, then with the other."""
    running: Server = request.getfixturevalue(request.param)
    return running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.inference_key}", "Content-Type": "application/octet-stream"}
    limits = httpx.Limits(max_connections=64)
    with httpx.Client(base_url=server.url, headers=headers, timeout=60, limits=limits) as opened:
        yield opened

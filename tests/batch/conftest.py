"""A server that is none, short pauses, a model as the repository keeps it, and actors that live in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.ray import MODEL, local_answers

from osteolens import client as client_module
from osteolens.batch.answerers.http import send
from osteolens.batch.answerers.ray import engine

from .fake_server import FakeServer


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(client_module.KEY_VARIABLE, raising=False)
    monkeypatch.delenv(client_module.URL_VARIABLE, raising=False)
    monkeypatch.setattr(send, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(send, "_LONGEST_PAUSE", 0.05)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture(scope="session")
def models(model_folder: Path, exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights/efficientnet and build/efficientnet."""
    folder = tmp_path_factory.mktemp("checkout")
    for name, target in (("weights", model_folder), ("build", exports)):
        (folder / name).mkdir()
        (folder / name / MODEL).symlink_to(target)
    return folder


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine without Ray: everything but the spreading itself."""

    @contextmanager
    def nothing() -> Iterator[None]:
        yield

    monkeypatch.setattr(engine, "ray_session", nothing)
    monkeypatch.setattr(engine, "answered", local_answers)

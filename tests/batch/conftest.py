"""A server that is none, and short pauses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from osteolens import client as client_module
from osteolens.batch.answerers.http import send

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

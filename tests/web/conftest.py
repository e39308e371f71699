"""People, films and a reader for the tests of the web app."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from accounts.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import translation
from fake_reader import FakeReader
from films import asking
from films.models import Film
from people import PASSWORD
from web_films import film_bytes

from osteolens.client import Client as ReaderClient


@pytest.fixture(autouse=True)
def data_folder(tmp_path: Path, settings: Any) -> Path:
    """Every test has a folder of its own."""
    settings.DATA_FOLDER = tmp_path / "data"
    folder: Path = settings.DATA_FOLDER
    return folder


@pytest.fixture(autouse=True)
def language() -> Iterator[None]:
    """English again after each test: a request leaves its language to the thread."""
    with translation.override("en"):
        yield


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeReader]:
    """What answers instead of TorchServe."""
    fake = FakeReader()
    with ReaderClient("http://reader", "key", transport=httpx.MockTransport(fake.respond)) as client:
        monkeypatch.setattr(asking, "_client", lambda: client)
        yield fake


@pytest.fixture
def owner(db: None) -> User:
    """The user whose films the tests are about."""
    return User.objects.create_user("ada", password=PASSWORD)


@pytest.fixture
def client(owner: User) -> Client:
    """A browser where the owner is logged in."""
    browser = Client()
    browser.force_login(owner)
    return browser


@pytest.fixture
def stranger(db: None) -> Client:
    """A browser where somebody else is logged in."""
    browser = Client()
    browser.force_login(User.objects.create_user("bob", password=PASSWORD))
    return browser


@pytest.fixture
def send(client: Client) -> Callable[..., Any]:
    """Upload a file; the response."""

    def post(content: bytes, name: str = "knee.png", **facts: str) -> Any:
        return client.post("/upload", {"file": SimpleUploadedFile(name, content), **facts})

    return post


@pytest.fixture
def film(send: Callable[..., Any]) -> Film:
    """An answered film of the owner, 120 x 160 pixels, without facts."""
    return Film.objects.get(pk=send(film_bytes()).json()["id"])

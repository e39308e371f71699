"""The server that reads films goes away and comes back: pages say so, films are kept and read by themselves."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone
from fake_reader import FakeReader
from films import answering, asking, reachable
from films.models import Film, Reading
from web_films import film_bytes

Send = Callable[..., Any]
WRONG_KEY = {"code": 400, "type": "InvalidKeyException", "message": "key"}


def answered_with(status: int, **body: object) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _request: httpx.Response(status, json=body)


def test_pages_say_since_when_reading_is_away(client: Client, send: Send, reader: FakeReader) -> None:
    assert "Reading has been away" not in client.get("/").content.decode()
    reader.go_away()
    assert send(film_bytes()).json()["state"] == "waiting"
    since = reachable.away_since()
    assert since
    assert abs(since - datetime.now(UTC)) < timedelta(seconds=30)
    send(film_bytes(1))
    answering.look_for_server()
    assert reachable.away_since() == since  # the first time counts
    for url in ("/", "/films/", Film.objects.latest("uploaded_at").get_absolute_url()):
        assert (
            f"{since:%H:%M} UTC"
            in re.findall(r"Reading has been away since ([^.]*)\.", client.get(url).content.decode())[0]
        )
    assert "Reading has been away" not in Client().get("/accounts/login").content.decode()


def test_what_waits_is_due_as_soon_as_the_server_is_back(client: Client, send: Send, reader: FakeReader) -> None:
    reader.go_away()
    send(film_bytes())
    Reading.objects.update(attempts=9, next_try_at=timezone.now() + timedelta(hours=1))
    answering.look_for_server()
    assert answering.answer_due(10) == (0, True)
    reader.come_back()
    answering.look_for_server()
    assert reachable.away_since() is None
    assert answering.answer_due(10) == (3, True)
    assert Film.objects.get().state == "answered"
    assert "Reading has been away" not in client.get("/").content.decode()


@pytest.mark.parametrize(
    "fault",
    [
        answered_with(500, health="none"),  # TorchServe without a worker
        answered_with(400, **WRONG_KEY),
        answered_with(502),  # a proxy in front of a server that is away
        answered_with(504),
    ],
)
def test_a_server_without_workers_behind_a_proxy_or_with_another_key_is_away(
    data_folder: Path, reader: FakeReader, fault: Callable[[httpx.Request], httpx.Response]
) -> None:
    data_folder.mkdir()
    reader.faults["all"] = fault
    assert not asking.is_there()
    assert reachable.away_since()
    reader.come_back()
    assert asking.is_there()


def test_an_answer_shows_that_the_server_is_there(data_folder: Path, reader: FakeReader) -> None:
    data_folder.mkdir()
    reachable.note_away("a test")
    assert asking.ask("knee", film_bytes(), {}).answer
    assert reachable.away_since() is None


def test_a_busy_server_is_not_away(send: Send, reader: FakeReader, client: Client) -> None:
    reader.faults["all"] = answered_with(503, code=503, message="busy")
    url = send(film_bytes()).json()["url"]
    assert reachable.away_since() is None
    page = client.get(url).content.decode()
    assert "has no room at the moment" in page
    assert "cannot be reached" not in page


@pytest.mark.parametrize("status", [502, 504])
def test_a_film_that_waited_long_has_all_its_tries_left(send: Send, reader: FakeReader, status: int) -> None:
    """A hundred tries at an absent server are none that failed: only what makes no sense counts."""
    reader.faults["all"] = answered_with(status)
    send(film_bytes())
    Reading.objects.update(attempts=100)
    reader.faults["all"] = answered_with(500, code=500, message="Worker died.")  # the first answers after a start
    for _ in range(answering.MAX_ATTEMPTS - 1):
        Reading.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        answering.answer_due(10)
    assert set(Reading.objects.values_list("state", "failures")) == {("queued", answering.MAX_ATTEMPTS - 1)}
    reader.come_back()
    Reading.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
    answering.answer_due(10)
    assert Film.objects.get().state == "answered"


def test_a_folder_that_cannot_be_written_keeps_nobody_from_asking(reader: FakeReader, data_folder: Path) -> None:
    assert not data_folder.exists()
    reader.go_away()
    assert asking.ask("knee", film_bytes(), {}).is_server_away
    assert reachable.away_since() is None

"""A locked or full database and a full disk: 503, and a film is kept or clearly not."""

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from accounts.models import AuditEntry, Token, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from fake_reader import FakeReader, answer
from films import answering, storage
from films.models import Film, Reading
from people import PASSWORD
from web_films import film_bytes

pytestmark = pytest.mark.django_db(transaction=True)
sqlite_only = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite has one lock for all")


@pytest.fixture
def browser(transactional_db: None) -> Client:
    """A client that gets the page of an error, as users do, instead of the exception."""
    user = User.objects.create_user("ada", password=PASSWORD)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def send(browser: Client, seed: int = 0, **headers: str) -> Any:
    url = "/api/films" if headers else "/upload"
    return browser.post(url, {"file": SimpleUploadedFile("a.png", film_bytes(seed))}, headers=headers)


def lock() -> sqlite3.Connection:
    """A connection that holds the only lock."""
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


@contextmanager
def locked() -> Iterator[None]:
    """Another process writes for longer than anybody waits."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=50")
    other = lock()
    try:
        yield
    finally:
        other.rollback()
        other.close()


def is_nothing_kept() -> bool:
    return not Film.objects.exists() and not list(storage.films_folder().glob("*/*"))


@sqlite_only
def test_a_locked_database(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    token = {"Authorization": f"Bearer {Token.create(User.objects.get())}"}
    with locked(), caplog.at_level(logging.WARNING):
        for response in (send(browser), send(browser, **token)):
            assert (response.status_code, response["Retry-After"]) == (503, "30")
            assert response.json()["error"]["code"] == "unavailable"
        page = browser.post("/films/selected", {"action": "reread"})
        assert (page.status_code, page["Retry-After"]) == (503, "30")
        assert "cannot store anything" in page.content.decode()
        assert browser.get("/films/").status_code in (200, 503)
    assert is_nothing_kept()
    assert "Traceback" not in caplog.text
    assert "/upload is answered with 503: database is locked" in caplog.text
    assert send(browser).status_code == 201


@sqlite_only
def test_a_database_that_is_locked_once_the_film_is_kept(browser: Client, reader: FakeReader) -> None:
    """The answer cannot be stored: the film waits for it, and the audit log has the upload."""
    with locked_at_the_answer(reader):
        response = send(browser)
    assert (response.status_code, response.json()["state"]) == (201, "waiting")
    film = Film.objects.get()
    assert storage.original(film.id).read_bytes() == film_bytes()
    assert AuditEntry.objects.filter(action="upload", film_id=film.id).count() == 1
    Reading.objects.update(leased_until=None)
    answering.answer_due(10)
    film.refresh_from_db()
    assert film.state == "answered"


@contextmanager
def locked_at_the_answer(reader: FakeReader) -> Iterator[None]:
    held: list[Any] = []

    def lock_and_answer(request: httpx.Request) -> httpx.Response:
        if not held:
            held.append(
                sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
            )
            held[0].execute("BEGIN IMMEDIATE")
        return httpx.Response(200, json=answer("knee", request.content, {}))

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout=50")
    reader.faults["knee"] = lock_and_answer
    try:
        yield
    finally:
        reader.come_back()
        held[0].rollback()
        held[0].close()


@sqlite_only
def test_a_full_database(browser: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        (pages,) = cursor.fetchone()
        cursor.execute(f"PRAGMA max_page_count={pages}")
    facts = {"note": "n" * 4000, "label_text": "l" * 100}
    statuses = set()
    for seed in range(40):
        sent = browser.post("/upload", {"file": SimpleUploadedFile("a.png", film_bytes(seed)), **facts})
        statuses.add(sent.status_code)
        if sent.status_code == 503:
            break
    assert statuses <= {201, 503}
    assert 503 in statuses
    assert len(list(storage.films_folder().glob("*/*"))) == Film.objects.count()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk(browser: Client, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        response = send(browser)
    assert (response.status_code, response["Retry-After"]) == (503, "30")
    assert is_nothing_kept()
    assert send(browser).status_code == 201


def test_a_fault_of_our_own_is_500(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr("uploads.views.receive", fail)
    monkeypatch.setattr("films.views.history.films_of", fail)
    response = send(browser)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "internal")
    page = browser.get("/films/")
    assert (page.status_code, page["Content-Type"]) == (500, "text/html; charset=utf-8")
    assert "a fault" not in page.content.decode()

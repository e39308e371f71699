"""What was deleted or changed is not in SQLite's files any more."""

import sqlite3
from pathlib import Path

import pytest
from accounts.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from films.models import Film
from people import PASSWORD
from web_films import film_bytes, let_deletions_pass

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="about SQLite's files"),
]


def stored(text: str) -> bool:
    """Whether the database's files hold the text anywhere."""
    database = Path(connection.settings_dict["NAME"])
    return any(text.encode() in path.read_bytes() for path in database.parent.glob(f"{database.name}*"))


@pytest.fixture
def browser(transactional_db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create_user("ada", password=PASSWORD))
    return client


def upload(browser: Client) -> Film:
    facts = {"note": "a note on Zebrafink", "label_text": "Kolibri"}
    file = SimpleUploadedFile("Albatros.png", film_bytes())
    return Film.objects.get(pk=browser.post("/upload", {"file": file, **facts}).json()["id"])


def test_deleted_names_and_notes(browser: Client) -> None:
    film = upload(browser)
    texts = ("Zebrafink", "Kolibri", "Albatros")
    assert all(map(stored, texts))
    assert browser.post(f"/films/{film.id}/delete").status_code == 302
    let_deletions_pass()
    assert not any(map(stored, texts))


def test_changed_notes(browser: Client) -> None:
    film = upload(browser)
    assert browser.post(f"/films/{film.id}/edit", {"note": "another", "label_text": ""}).status_code == 302
    assert not stored("Zebrafink")
    assert not stored("Kolibri")
    assert stored("Albatros")


def test_changed_remarks_of_reviews(browser: Client) -> None:
    film = upload(browser)
    for remark in ("Wiedehopf", "none"):
        assert (
            browser.post(
                f"/reviews/{film.id}/", {"verdict": "unsure", "seen_label": "normal", "remark": remark}
            ).status_code
            == 302
        )
        assert stored("Wiedehopf") == (remark == "Wiedehopf")


def test_a_reader_in_the_way_does_not_stop_a_deletion(browser: Client) -> None:
    film = upload(browser)
    reader = sqlite3.connect(connection.settings_dict["NAME"])
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM xrays_film").fetchone()
    assert browser.post(f"/films/{film.id}/delete").status_code == 302
    let_deletions_pass()
    reader.rollback()
    reader.close()
    assert not Film.objects.exists()

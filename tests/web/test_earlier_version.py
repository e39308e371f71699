"""A data folder of an earlier version, with the first migrations only: today's app opens it and goes on with it.

`earlier/` holds that version's database as SQL and its files: two made-up films, one answered, opened and reviewed,
one still in the queue; the accounts are `ada`, who owns them and has a token, and `eve`, who reviewed.
"""

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from accounts.models import AuditEntry, Token
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from films import answering
from films.models import Film, Reading
from people import PASSWORD
from reviews.models import Review

EARLIER = Path(__file__).parent / "earlier"
REVIEWED, WAITING = "f6715c14-d486-4848-8f4c-529a5850d9bd", "6632b6d0-0980-4ef3-b569-e4b9348cf0ca"
APPS = {"accounts": 6, "axes": 4, "reviews": 2, "xrays": 7}
"""Tables with rows of their own per app."""


@pytest.fixture
def opened(data_folder: Path, django_db_blocker: Any) -> Iterator[Path]:
    """The earlier data folder, migrated; the connection of the tests leads to its database meanwhile."""
    if connection.vendor != "sqlite":
        pytest.skip("the earlier database is SQLite's")
    shutil.copytree(EARLIER / "films", data_folder / "films")
    database = data_folder / "osteolens.sqlite3"
    with sqlite3.connect(database) as earlier:
        earlier.executescript((EARLIER / "database.sql").read_text())
    earlier.close()
    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        connection.close()
        connection.settings_dict["NAME"] = str(database)
        try:
            call_command("migrate", verbosity=0)
            yield data_folder
        finally:
            connection.close()
            connection.settings_dict["NAME"] = name


def logged_in(name: str) -> Client:
    browser = Client()
    sent = browser.post("/accounts/login", {"username": name, "password": PASSWORD})
    assert (sent.status_code, sent["Location"]) == (302, "/")
    return browser


@pytest.mark.usefixtures("opened")
def test_the_owner_finds_films_answer_and_pictures() -> None:
    browser = logged_in("ada")
    history = browser.get("/films/").content.decode()
    assert [text for text in ("patient 1", "right knee.png", "no finding") if text not in history] == []

    page = browser.get(f"/films/{REVIEWED}/")
    assert (page.status_code, page.context["main"].label) == (200, "osteopenia")
    film = Film.objects.get(pk=REVIEWED)
    assert (film.copy, film.age, film.sex, film.note, film.t_score) == (0, 67, "female", "left", None)
    # Answers of that version say nothing of what their model knows, and its card is not at hand.
    assert (film.lead, film.headline, film.label, film.output) == ("none", "no finding", "no finding", "osteopenia")
    assert not film.outdated
    assert (film.patient, film.side, film.taken_on, film.read_at) == (None, "", None, None)
    maps = [label["map"]["url"] for label in page.context["viewer_data"]["models"][0]["classes"]]
    pictures = [*maps, *(f"/films/{pk}/{name}" for pk in (REVIEWED, WAITING) for name in ("picture.png", "original"))]
    assert [url for url in pictures if browser.get(url).status_code != 200] == []
    assert browser.get(f"/films/{REVIEWED}/report.pdf").status_code == 200


@pytest.mark.usefixtures("opened")
def test_the_reviewer_finds_the_review() -> None:
    review = Review.objects.get()
    # The earlier app let the audit log tell who had seen the answer: eve opened the page after her review.
    assert (review.blind, review.label_said, review.dxa_t_score) == (True, "osteopenia", -1.5)
    assert review.region_path
    assert review.region_path.is_file()
    page = logged_in("eve").get(f"/reviews/{REVIEWED}/")
    assert (page.status_code, page.context["answer"].label) == (200, "osteopenia")
    assert b"thin cortex" in page.content


@pytest.mark.usefixtures("opened")
def test_tokens_and_permissions_hold() -> None:
    """Content types and permissions are those of before: no second set under another label."""
    token = Client(headers={"Authorization": "Bearer the token of an earlier version"})
    assert token.get(f"/api/films/{REVIEWED}").json()["name"] == "left knee.png"
    end = Token.objects.get().expires_at - timezone.now()  # it had none before, and none goes on for ever
    assert timedelta(days=364) < end <= timedelta(days=365)
    assert Permission.objects.get(codename="review").user_set.get().username == "eve"
    types = list(ContentType.objects.values_list("app_label", flat=True))
    assert {label: types.count(label) for label in APPS} == APPS
    assert AuditEntry.objects.filter(film_id=REVIEWED, user_name="eve").count() == 2


@pytest.mark.usefixtures("opened")
def test_the_queue_goes_on() -> None:
    assert answering.answer_due(10) == (3, True)
    assert Film.objects.get(pk=WAITING).label == "osteopenia"
    assert Reading.objects.filter(state=Reading.State.QUEUED).count() == 0


@pytest.mark.usefixtures("opened")
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)

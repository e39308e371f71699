"""The audit log has every look at a film and every refusal."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from accounts.models import AuditEntry, Token, User
from django.core.management import call_command
from django.test import Client
from films.models import Film
from people import PASSWORD
from web_films import film_bytes


def rows(film: Film | None = None) -> list[tuple[str, str]]:
    """Action and detail of each line about a film, or about none, without what the fixtures did."""
    entries = AuditEntry.objects.filter(film_id=film.id if film else None).exclude(action__in=("upload", "log-in"))
    return list(entries.order_by("pk").values_list("action", "detail"))


@pytest.fixture
def reviewed(film: Film) -> Film:
    Film.objects.update(open_for_review=True)
    return film


def test_pictures_thumbnails_and_maps(client: Client, film: Film) -> None:
    reading = film.readings.get(model="knee")
    for name in ("picture.png", "thumb.jpg", f"maps/{reading.pk}/normal.png"):
        assert client.get(f"/films/{film.id}/{name}").status_code == 200
    assert rows(film) == [("picture", ""), ("thumbnail", ""), ("map", "")]


def test_pictures_for_reviewers(client: Client, reviewed: Film) -> None:
    for name in ("picture.png", "thumb.jpg", f"maps/{reviewed.readings.get(model='knee').pk}/normal.png"):
        assert client.get(f"/reviews/{reviewed.id}/{name}").status_code == 200
    assert rows(reviewed) == [("picture", "review"), ("thumbnail", "review"), ("map", "review")]


def test_a_look_that_is_repeated_at_once_is_one_line(client: Client, film: Film) -> None:
    """A page asks for its pictures whenever it is shown; after ten minutes, or from elsewhere, it is another look."""
    for _ in range(3):
        client.get(f"/films/{film.id}/thumb.jpg")
    assert rows(film) == [("thumbnail", "")]
    client.get(f"/films/{film.id}/thumb.jpg", REMOTE_ADDR="10.0.0.9")
    assert len(rows(film)) == 2
    for entry in AuditEntry.objects.all():
        AuditEntry.objects.filter(pk=entry.pk).update(at=entry.at - timedelta(minutes=11))
    client.get(f"/films/{film.id}/thumb.jpg")
    assert len(rows(film)) == 3


def test_lists(client: Client, owner: User, film: Film) -> None:
    token = {"Authorization": f"Bearer {Token.create(owner)}"}
    for path in ("/films/", "/", "/reviews/", "/api/films"):
        assert client.get(path, headers=token).status_code == 200
    assert rows() == [
        ("list", "history, 1 films"),
        ("list", "upload page, 1 films"),
        ("list", "reviews, 1 films"),
        ("list", "API, 1 films"),
    ]


def test_films_of_others(stranger: Client, film: Film) -> None:
    reading = film.readings.get(model="knee")
    for name in ("", "picture.png", "thumb.jpg", f"maps/{reading.pk}/normal.png", "original", "report.pdf"):
        assert stranger.get(f"/films/{film.id}/{name}").status_code == 404
    assert stranger.post(f"/films/{film.id}/delete").status_code == 404
    refused = AuditEntry.objects.filter(action="refused", film_id=film.id)
    film_page = "/films/<uuid:film_id>/"
    looks = ("", "picture.png", "thumb.jpg", "maps/<int:reading>/<path:label>.png", "original", "report.pdf")
    assert list(refused.order_by("pk").values_list("user_name", "detail")) == [
        *(("bob", f"404 GET {film_page}{name}") for name in looks),
        ("bob", f"404 POST {film_page}delete"),
    ]
    stranger.get(f"/films/{film.id}/")
    assert refused.count() == 7  # again within a minute


def test_other_refusals(client: Client, owner: User, film: Film, settings: Any, send: Callable[..., Any]) -> None:
    wrong = {"Authorization": "Bearer nonsense"}
    assert Client().get("/api/films", headers=wrong).status_code == 401
    assert Client().get("/api/films").status_code == 401  # the same within a minute
    for film_id in (film.id, "nonsense"):
        assert Client().get(f"/api/films/{film_id}", headers=wrong).status_code == 401
    assert client.get("/staff/").status_code == 404
    assert Client(enforce_csrf_checks=True).post("/upload").status_code == 403
    settings.UPLOADS_PER_MINUTE = 1
    assert send(film_bytes(1)).status_code == 429
    refused = AuditEntry.objects.filter(action="refused").order_by("pk")
    assert list(refused.values_list("user_name", "detail", "film_id")) == [
        ("", "401 GET /api/films", None),
        ("", "401 GET /api/films/<film_id>", film.id),
        ("", "401 GET /api/films/<film_id>", None),
        ("ada", "404 GET /staff/", None),
        ("", "403 POST /upload", None),
        ("ada", "429 POST /upload", None),
    ]


def test_what_is_not_there_at_all_is_no_refusal(client: Client) -> None:
    for path in ("/nowhere", "/films/nonsense/", "/wp-login.php"):
        assert client.get(path).status_code == 404
    assert rows() == []
    assert client.get(f"/films/{uuid4()}/").status_code == 404
    assert AuditEntry.objects.get(action="refused").detail == "404 GET /films/<uuid:film_id>/"


@pytest.mark.parametrize("how", ["command", "code", "unusable"])
def test_a_new_password_ends_tokens(owner: User, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    other = Token.create(User.objects.create_user("bob", password=PASSWORD))
    text = Token.create(owner)
    if how == "command":
        module = "django.contrib.auth.management.commands.changepassword"
        monkeypatch.setattr(f"{module}.getpass.getpass", lambda *_args, **_kwargs: "a louder afternoon")
        call_command("changepassword", "ada")
    elif how == "code":
        owner.set_password("a louder afternoon")
        owner.save(update_fields=["password"])
    else:
        owner.set_unusable_password()
        owner.save()
    assert Token.find(text) is None
    assert Token.find(other) is not None


def test_what_leaves_the_password_leaves_the_tokens(owner: User, settings: Any) -> None:
    text = Token.create(owner)
    owner.first_name = "Ada"
    owner.save()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS]
    before = User.objects.get(pk=owner.pk).password
    assert Client().post("/accounts/login", {"username": "ada", "password": PASSWORD}).status_code == 302
    assert User.objects.get(pk=owner.pk).password != before  # hashed again in a newer way
    assert Token.find(text) is not None

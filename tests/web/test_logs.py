"""Each request has a number; lines can be JSON objects, without names and without what was searched for."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from accounts.models import Token, User
from django.test import Client
from films.models import Film
from people import PASSWORD
from project.requests import InRequest
from web_films import film_bytes

from osteolens.logs import JsonLines

Send = Callable[..., Any]


@pytest.fixture
def lines() -> Any:
    """What is logged as JSON from INFO up, as objects."""
    written: list[dict[str, Any]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(json.loads(self.format(record)))

    handler, logger = Handler(), logging.getLogger()
    handler.setFormatter(JsonLines())
    handler.addFilter(InRequest())
    logger.addHandler(handler)
    requests = logging.getLogger("osteolens.requests")
    before = requests.level
    requests.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    requests.setLevel(before)


def test_a_line_for_each_request(client: Client, owner: User, film: Film, lines: list[dict[str, Any]]) -> None:
    response = client.get("/films/", {"q": "Smith, left knee"})
    client.get(film.get_absolute_url())
    client.get("/films/Smith")
    client.get("/nowhere/Smith")
    client.get("/static/osteolens.css")
    Client().get("/healthz")
    Client().get("/manifest.webmanifest")
    facts = [(line["method"], line["route"], line["status"], line.get("account")) for line in lines]
    assert facts == [
        ("GET", "/films/", 200, owner.pk),
        ("GET", "/films/<uuid:film_id>/", 200, owner.pk),
        ("GET", "", 404, owner.pk),
        ("GET", "", 404, owner.pk),
        ("GET", "/manifest.webmanifest", 200, None),
    ]
    assert lines[0]["request_id"] == response["X-Request-ID"]
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert {line["level"] for line in lines} == {"INFO"}
    assert all(line["ms"] >= 0 for line in lines)
    text = json.dumps([line | {"request_id": ""} for line in lines])  # which may hold "ada" by chance
    assert "Smith" not in text
    assert owner.username not in text


def test_what_is_logged_meanwhile_has_the_number_and_the_account(
    client: Client, owner: User, send: Send, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        logging.getLogger("films").error("something of film %s", "x")
        raise ValueError("a fault")

    monkeypatch.setattr("films.views.history.films_of", fail)
    client.raise_request_exception = False
    response = client.get("/films/")
    ours = [line for line in lines if line["logger"] in ("films", "django.request")]
    assert {(line["request_id"], line["account"]) for line in ours} == {(response["X-Request-ID"], owner.pk)}
    assert "ValueError: a fault" in ours[-1]["traceback"]
    logging.getLogger("films").error("outside of a request")
    assert "request_id" not in lines[-1]
    token = Token.create(User.objects.create_user("bob", password=PASSWORD))
    Client().get("/api/films", headers={"Authorization": f"Bearer {token}"})
    assert lines[-1]["account"] == User.objects.get(username="bob").pk
    assert send(film_bytes()).status_code == 201


@pytest.mark.parametrize(("behind_tls", "sent", "taken"), [
    (True, "0123abcd-ef", True), (True, "short", False), (True, "a b<cdefgh>", False), (False, "0123abcd-ef", False),
])  # fmt: skip
def test_a_proxy_in_front_may_give_the_number(
    db: None, settings: Any, behind_tls: bool, sent: str, taken: bool
) -> None:
    settings.BEHIND_TLS = behind_tls
    answered = Client().get("/healthz", headers={"X-Request-ID": sent})["X-Request-ID"]
    assert (answered == sent) is taken
    assert taken or len(answered) == 32

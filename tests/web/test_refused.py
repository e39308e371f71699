"""A film that the gate refuses is kept, and every place that would show an answer says why there is none."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from accounts.models import Token, User
from django.test import Client
from fake_reader import FakeReader, answer
from films.models import Film
from web_films import film_bytes

SAYS = "this does not look like a knee film: a radiograph of a knee from the front is expected"
REFUSAL = {
    "schema": 1, "id": "x", "label": None, "probabilities": {}, "t_score": None, "triage": None,
    "quality": {"accepted": False, "reasons": [{"code": "not_a_knee", "message": SAYS}]},
    "film": {"width": 1, "height": 1}, "model": {"name": "knee", "version": "1.0", "card_sha256": "ab" * 32},
    "timing_ms": {"decode": 1.0, "model": 0.0, "explain": 0.0},
}  # fmt: skip


def test_a_refused_film_says_why_everywhere(client: Client, reader: FakeReader, send: Callable[..., Any]) -> None:
    reader.faults["all"] = lambda _request: httpx.Response(200, json=REFUSAL)
    taken = send(film_bytes(3)).json()
    film = Film.objects.get(pk=taken["id"])
    assert (film.state, film.error_message, film.label) == ("refused", SAYS, "")
    assert {reading.error_code for reading in film.readings.all()} == {"not_a_knee"}
    page = client.get(f"/films/{film.id}/").content.decode()
    assert SAYS in page
    history = client.get("/films/").content.decode()
    assert f'title="{SAYS}">not answered</span>' in history
    assert client.get(f"/films/{film.id}/answer.json").status_code == 404
    assert len(reader.asked) == 3  # each model once


def refuse_unless_forced(request: httpx.Request) -> httpx.Response:
    """What a server does with a picture that its gate refuses."""
    if request.headers.get("X-OsteoLens-Force") != "true":
        return httpx.Response(200, json=REFUSAL)
    row = answer("knee", request.content, {})
    return httpx.Response(200, json=row | {"quality": REFUSAL["quality"]})


@pytest.mark.parametrize("by", ["page", "api"])
def test_it_is_answered_all_the_same_where_the_owner_says_so(
    client: Client, owner: User, reader: FakeReader, send: Callable[..., Any], by: str
) -> None:
    reader.faults["all"] = refuse_unless_forced
    film = Film.objects.get(pk=send(film_bytes(4)).json()["id"])
    assert "Answer it all the same" in client.get(f"/films/{film.id}/").content.decode()
    client.post(f"/films/{film.id}/reread")
    film.refresh_from_db()
    assert (film.state, film.force) == ("refused", False)
    if by == "page":
        client.post(f"/films/{film.id}/reread", {"force": "true"})
    else:
        api = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})
        shown = api.post(f"/api/films/{film.id}/reread?force=true").json()
        assert shown["state"] == "answered"
    film.refresh_from_db()
    assert (film.state, film.force, film.warnings) == ("answered", True, [SAYS])
    page = client.get(f"/films/{film.id}/").content.decode()
    assert f"<span>{SAYS}</span>" in page
    assert "Answer it all the same" not in page
    client.post(f"/films/{film.id}/edit", {"age": "63", "sex": "female"})  # a new question: as forced as the one before
    assert {reading.state for reading in film.readings.order_by("-pk")[:3]} == {"answered"}

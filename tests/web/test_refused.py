"""A film that the gate refuses is kept, and every place that would show an answer says why there is none."""

from collections.abc import Callable
from typing import Any

import httpx
from django.test import Client
from fake_reader import FakeReader
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

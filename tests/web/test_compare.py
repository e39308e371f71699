"""GET /compare."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.test import Client
from films.models import Film
from web_films import film_bytes


def test_two_films_side_by_side(client: Client, film: Film, send: Callable[..., Any]) -> None:
    other = send(film_bytes(1)).json()["id"]
    response = client.get(f"/compare?films={other}&films={film.id}")
    assert [str(side["film"].id) for side in response.context["sides"]] == [other, str(film.id)]
    assert response.context["sides"][0]["viewer_data"]["models"][0]["model"] == "knee"


def test_refusals(client: Client, stranger: Client, film: Film) -> None:
    for query in (f"films={film.id}&films={uuid4()}", f"films={film.id}", "", "films=a&films=b"):
        assert client.get(f"/compare?{query}").status_code == 404
    assert stranger.get(f"/compare?films={film.id}&films={film.id}").status_code == 404
    assert client.post("/compare").status_code == 405
    assert Client().get("/compare").status_code == 302

"""GET /reviews/next."""

from collections.abc import Callable
from typing import Any

from django.test import Client
from films.models import Film
from web_films import film_bytes


def test_the_oldest_film_without_an_own_review_then_the_summary(
    client: Client, film: Film, send: Callable[..., Any], say: Callable[..., Any]
) -> None:
    second = Film.objects.get(pk=send(film_bytes(1)).json()["id"])
    assert client.get("/reviews/next")["Location"] == f"/reviews/{film.id}/"
    say(client, film, seen_label="normal")
    assert client.get("/reviews/next")["Location"] == f"/reviews/{second.id}/"
    say(client, second, seen_label="normal")
    assert client.get("/reviews/next")["Location"] == "/reviews/"


def test_only_films_that_are_open(reviewer: Client, stranger: Client, film: Film) -> None:
    assert reviewer.get("/reviews/next")["Location"] == "/reviews/"
    Film.objects.update(open_for_review=True)
    assert reviewer.get("/reviews/next")["Location"] == f"/reviews/{film.id}/"
    assert stranger.get("/reviews/next")["Location"] == "/reviews/"


def test_refusals(client: Client) -> None:
    assert client.post("/reviews/next").status_code == 405
    assert Client().get("/reviews/next").status_code == 302

"""What is to be known of a picture or an answer is seen wherever the film is."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from accounts.models import Token, User
from django.test import Client
from films.models import Film
from pdf_pages import pdf_text
from uploads import intake
from web_films import film_bytes

from osteolens.errors import TooCostly
from osteolens.films.read import Picture, read_bare
from osteolens.rows import ErrorAnswer

DAMAGED, UNLIKE = "the JPEG is damaged: 0.4 % of it was made up", "unlike the training films"
"""Warnings: the first as the reading of the upload gives it, the second as the fake reader answers it."""


@pytest.fixture(autouse=True)
def damaged() -> Iterator[None]:
    """Every upload is read with a warning."""

    def warn(data: bytes) -> tuple[Picture, bytes]:
        picture, bare = read_bare(data)
        return replace(picture, warnings=(DAMAGED,)), bare

    with patch.object(intake, "read_bare", warn):
        yield


def test_pages_and_files_show_both_and_each_once(client: Client, film: Film, send: Callable[..., Any]) -> None:
    other = send(film_bytes(1)).json()["id"]
    page = client.get(f"/films/{film.id}/").content.decode()
    assert page.count(f"<span>{DAMAGED}</span>") == 1
    assert page.count(f"<span>{UNLIKE}</span>") == 3  # of each model, one of them shown
    for url in (f"/compare?films={film.id}&films={other}", f"/reviews/{film.id}/"):
        text = client.get(url).content.decode()
        assert f"<span>{DAMAGED}</span>" in text, url
        assert f"<span>{UNLIKE}</span>" in text, url
    text = pdf_text(client.get(f"/films/{film.id}/report.pdf").content)
    assert (text.count(DAMAGED), text.count(UNLIKE)) == (1, 1)
    assert client.get(f"/films/{film.id}/answer.json").json()["film"]["picture_warnings"] == [DAMAGED]


@pytest.mark.parametrize("url", ["/films/", "/"])
def test_lists_mark_the_film(client: Client, film: Film, url: str) -> None:
    assert f'title="{DAMAGED}; {UNLIKE}"' in client.get(url).content.decode()
    Film.objects.update(picture_warnings=[], warnings=[])
    assert "warned" not in client.get(url).content.decode()


def test_the_reply_the_table_and_the_api_have_them(client: Client, owner: User, send: Callable[..., Any]) -> None:
    reply = send(film_bytes()).json()
    assert reply["warnings"] == [DAMAGED, UNLIKE]
    text = b"".join(client.get("/films/export.csv").streaming_content).decode("utf-8-sig")
    assert next(csv.DictReader(io.StringIO(text)))["warnings"] == f"{DAMAGED}; {UNLIKE}"
    app = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})
    assert app.get("/api/films").json()["films"][0]["warnings"] == [DAMAGED, UNLIKE]
    detail = app.get(f"/api/films/{reply['id']}").json()
    assert detail["warnings"] == [DAMAGED, UNLIKE]
    assert detail["readings"][0]["answer"]["quality"]["warnings"] == [UNLIKE]


def test_a_warning_that_the_server_repeats_is_shown_once(client: Client, film: Film) -> None:
    for reading in film.readings.all():
        reading.answer["quality"]["warnings"] = [DAMAGED]
        reading.save()
    Film.objects.update(warnings=[DAMAGED])
    assert client.get(f"/films/{film.id}/").content.decode().count(DAMAGED) == 1
    assert f'title="{DAMAGED}"' in client.get("/films/").content.decode()
    assert pdf_text(client.get(f"/films/{film.id}/report.pdf").content).count(DAMAGED) == 1


def test_a_film_that_costs_too_much_is_refused_for_good(send: Callable[..., Any]) -> None:
    """With the status that no client sends again."""
    with patch.object(intake, "read_bare", side_effect=TooCostly("decoding takes longer than 2 s", "save it again")):
        response = send(film_bytes())
    assert response.status_code == 413
    assert ErrorAnswer.model_validate(response.json()).error.code == "too_costly"
    assert not response.has_header("Retry-After")
    assert not Film.objects.exists()

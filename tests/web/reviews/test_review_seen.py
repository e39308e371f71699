"""Whatever shows a label of the answer to a person makes their review of that film an open one."""

from collections.abc import Callable
from typing import Any

import pytest
from accounts.models import Token, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from films import answering
from films.models import Film, Sighting
from reviews.models import Review
from web_films import film_bytes, let_deletions_pass

Say = Callable[..., Any]

SHOWN = {
    "the reply to the same film": lambda browser, film, _: browser.post("/upload", {"file": uploaded()}),
    "the upload page": lambda browser, film, _: browser.get("/"),
    "the history": lambda browser, film, _: browser.get("/films/"),
    "its rows alone": lambda browser, film, _: browser.get("/films/?label=osteopenia", headers={"HX-Request": "true"}),
    "the table": lambda browser, film, _: drained(browser.get("/films/export.csv")),
    "a table of ticked films": lambda browser, film, _: drained(
        browser.post("/films/selected", {"action": "export", "films": [film.id]})
    ),
    "the film's page": lambda browser, film, _: browser.get(f"/films/{film.id}/"),
    "its form with an error": lambda browser, film, _: browser.post(f"/films/{film.id}/edit", {"age": "200"}),
    "the report": lambda browser, film, _: browser.get(f"/films/{film.id}/report.pdf"),
    "the overlay": lambda browser, film, _: browser.get(f"/films/{film.id}/overlay.png"),
    "the answer's file": lambda browser, film, _: browser.get(f"/films/{film.id}/answer.json"),
    "a map": lambda browser, film, _: drained(
        browser.get(f"/films/{film.id}/maps/{film.readings.get(model='knee').pk}/osteopenia.png")
    ),
    "the list of the API": lambda browser, film, token: browser.get("/api/films", headers=token),
    "the film in the API": lambda browser, film, token: browser.get(f"/api/films/{film.id}", headers=token),
    "its map in the API": lambda browser, film, token: drained(
        browser.get(f"/api/films/{film.id}/map/normal", headers=token)
    ),
    "the API's reply to the same film": lambda browser, film, token: browser.post(
        "/api/films", {"file": uploaded()}, headers=token
    ),
    "the answer asked for": lambda browser, film, _: browser.post(f"/reviews/{film.id}/reveal"),
}
"""What shows the label of the film's answer: called with a browser, the film and the headers of the API."""

HIDDEN = {
    "the film as a picture": lambda browser, film, _: drained(browser.get(f"/films/{film.id}/picture.png")),
    "its thumbnail": lambda browser, film, _: drained(browser.get(f"/films/{film.id}/thumb.jpg")),
    "the original": lambda browser, film, _: browser.get(f"/films/{film.id}/original"),
    "whether it is answered": lambda browser, film, _: browser.get(f"/films/{film.id}/state"),
    "a history without it": lambda browser, film, _: browser.get("/films/?label=normal"),
    "a table without it": lambda browser, film, _: drained(browser.get("/films/export.csv?triage=refer")),
    "the summary of reviews": lambda browser, film, _: browser.get("/reviews/"),
    "the next film": lambda browser, film, _: browser.get("/reviews/next"),
    "the review itself": lambda browser, film, _: browser.get(f"/reviews/{film.id}/"),
}
"""What shows no label."""


def uploaded() -> SimpleUploadedFile:
    return SimpleUploadedFile("knee.png", film_bytes())


def drained(response: Any) -> Any:
    b"".join(response.streaming_content)
    return response


@pytest.fixture
def token(owner: User) -> dict[str, str]:
    """Headers of the API for the owner."""
    return {"Authorization": f"Bearer {Token.create(owner)}"}


@pytest.mark.parametrize("where", SHOWN)
def test_who_was_shown_the_label_gives_an_open_review(
    client: Client, owner: User, film: Film, token: dict[str, str], say: Say, where: str
) -> None:
    assert client.get(f"/reviews/{film.id}/").context["answer"] is None
    assert SHOWN[where](client, film, token).status_code in (200, 302, 400)
    page = client.get(f"/reviews/{film.id}/")
    assert page.context["answer"].label == "osteopenia"
    assert b"<strong>Open.</strong>" in page.content
    assert say(client, film, verdict="right").status_code == 302
    assert not Review.objects.get(film=film, reviewer=owner).blind


@pytest.mark.parametrize("where", HIDDEN)
def test_what_shows_no_label_leaves_the_review_blind(
    client: Client, film: Film, token: dict[str, str], say: Say, where: str
) -> None:
    assert HIDDEN[where](client, film, token).status_code in (200, 302)
    assert not Sighting.objects.exists()
    say(client, film, seen_label="normal")
    assert Review.objects.get().blind


def test_the_reply_to_an_upload_counts_when_it_shows_an_answer(
    client: Client, owner: User, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reply = client.post("/upload", {"file": uploaded()}).json()
    assert reply["label"] == "osteopenia"
    [sighting] = Sighting.objects.all()
    assert (str(sighting.film_id), sighting.user) == (reply["id"], owner)
    monkeypatch.setattr(answering, "answer_now", lambda *_: None)  # nobody answers in time
    waiting = client.post("/upload", {"file": SimpleUploadedFile("b.png", film_bytes(1))}).json()
    assert (waiting["state"], Sighting.objects.count()) == ("waiting", 1)
    client.get("/films/")
    assert Sighting.objects.count() == 1


def test_it_counts_for_the_person_alone_and_once(
    client: Client, reviewer: Client, open_film: Film, say: Say, token: dict[str, str]
) -> None:
    for _ in range(2):
        for show in SHOWN.values():
            show(client, open_film, token)
    assert Sighting.objects.count() == 1
    say(reviewer, open_film, seen_label="normal")
    assert Review.objects.get().blind


@pytest.mark.parametrize("name", ["export.csv", "coco.json", "training.zip"])
def test_what_others_said_of_ones_own_film_counts_as_well(
    client: Client,
    reviewer: Client,
    open_film: Film,
    say: Say,
    draw_url: Callable[..., str],
    left_third: Any,
    name: str,
) -> None:
    """A reviewer who calls the answer right passes its label on."""
    say(reviewer, open_film, seen_label="osteopenia", region=draw_url(left_third))
    assert not Sighting.objects.filter(user__username="ada").exists()
    assert client.get(f"/reviews/{name}").status_code == 200
    say(client, open_film, verdict="right")
    assert not Review.objects.get(reviewer__username="ada").blind


def test_a_deleted_film_takes_its_sightings_along(client: Client, film: Film) -> None:
    client.get(f"/films/{film.id}/")
    assert Sighting.objects.count() == 1
    client.post(f"/films/{film.id}/delete")
    let_deletions_pass()
    assert not Sighting.objects.exists()

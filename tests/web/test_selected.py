"""POST /films/selected."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from accounts.models import AuditEntry, User
from django.test import Client
from fake_reader import FakeReader
from films import answering
from films.models import Film, Reading
from web_films import film_bytes, make_films

URL = "/films/selected"


@pytest.fixture
def films(send: Callable[..., Any]) -> list[str]:
    return [send(film_bytes(seed)).json()["id"] for seed in range(3)]


def say(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_delete(client: Client, films: list[str]) -> None:
    form = {"action": "delete", "films": [*films[:2], str(uuid4()), "nonsense"], "next": "q=a&page=2"}
    response = client.post(URL, form, follow=True)
    assert response.redirect_chain == [("/films/?q=a&page=2", 302)]
    assert say(response) == ["1 film was not there any more."]
    [deletion] = response.context["deletions"]
    assert deletion.count == 2
    assert [str(film.id) for film in Film.objects.all()] == films[2:]
    assert AuditEntry.objects.filter(action="delete").count() == 2


def test_reread_is_put_in_line(client: Client, films: list[str], reader: FakeReader) -> None:
    reader.asked.clear()
    response = client.post(URL, {"action": "reread", "films": films}, follow=True)
    assert say(response) == ["3 films will be read again."]
    assert reader.asked == []
    assert Reading.objects.filter(state="queued", lease=None).count() == 9
    while answering.answer_due(4)[0]:
        pass
    assert Reading.objects.filter(state="answered").count() == 18


def test_export(client: Client, films: list[str]) -> None:
    response = client.post(URL, {"action": "export", "films": films[:2]})
    text = b"".join(response.streaming_content).decode()
    assert [key in text for key in films] == [True, True, False]
    assert AuditEntry.objects.filter(action="export").count() == 2


def test_compare(client: Client, films: list[str]) -> None:
    response = client.post(URL, {"action": "compare", "films": films[:2]})
    assert response["Location"] == f"/compare?films={films[0]}&films={films[1]}"
    too_many = client.post(URL, {"action": "compare", "films": films}, follow=True)
    assert say(too_many) == ["Tick exactly two films to compare them."]


def test_films_of_other_pages_are_chosen_as_well(client: Client, films: list[str]) -> None:
    form = {"action": "delete", "films": films[:1], "chosen": ",".join([*films[:2], "nonsense", ""])}
    client.post(URL, form)
    assert [str(film.id) for film in Film.objects.all()] == films[2:]


def test_all_that_match_are_named_in_order(client: Client, stranger: Client, owner: User) -> None:
    make_films(owner, 60)
    films = client.get("/films/matching?q=left&sort=oldest").json()
    numbers = [str(film.pk) for film in Film.objects.filter(note="left").order_by("uploaded_at")]
    assert films == {"films": numbers, "per_page": 50}
    assert stranger.get("/films/matching").json()["films"] == []
    assert Client().get("/films/matching").status_code == 401
    assert client.post("/films/matching").json()["error"]["code"] == "wrong_method"


@pytest.mark.parametrize("action", ["delete", "reread", "export", "compare", "edit"])
def test_films_of_others_stay(stranger: Client, films: list[str], action: str) -> None:
    response = stranger.post(URL, {"action": action, "films": films[:2]})
    assert response.status_code in (200, 302)
    if action == "export":
        assert not any(key in b"".join(response.streaming_content).decode() for key in films)
    assert Film.objects.count() == 3
    assert not Reading.objects.filter(state="queued").exists()
    assert not AuditEntry.objects.filter(action__in=["delete", "export", "re-read"], film_id__isnull=False).exists()


def test_unknown_action_and_wrong_method(client: Client, films: list[str]) -> None:
    assert say(client.post(URL, {"action": "x", "films": films}, follow=True))[0].startswith("Nothing was done")
    assert client.get(URL).status_code == 405
    assert client.post(URL, {"action": "delete", "next": "//evil.example"})["Location"].startswith("/films/?")

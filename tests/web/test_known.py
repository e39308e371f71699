"""A film that is there already, sent with other facts: nothing that was typed is dropped."""

from collections.abc import Callable
from typing import Any

import pytest
from accounts.models import AuditEntry, Token, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from fake_reader import FakeReader
from films import storage
from films.models import Film
from web_films import film_bytes

Send = Callable[..., Any]
THERE = {"age": "44", "sex": "male", "label_text": "left", "note": "fell"}


@pytest.fixture
def there(send: Send) -> Film:
    """A film of a man of 44."""
    return Film.objects.get(pk=send(film_bytes(), "one.png", **THERE).json()["id"])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("age", "63", "age is 44 there and 63 here"),
        ("sex", "female", "sex is 'male' there and 'female' here"),
        ("weight_kg", "71.5", "weight kg is empty there and 71.5 here"),
        ("height_m", "1.62", "height m is empty there and 1.62 here"),
        ("label_text", "right", "label is 'left' there and 'right' here"),
        ("note", "n" * 50, f"note is 'fell' there and '{'n' * 39}...' here"),
    ],
)
def test_other_facts_are_offered_a_place(
    send: Send, reader: FakeReader, there: Film, name: str, value: str, words: str
) -> None:
    before = Film.objects.values().get()
    reader.asked.clear()
    response = send(film_bytes(), "two.png", **{name: value})
    assert response.status_code == 409
    error, known = response.json()["error"], response.json()["known"]
    assert error["code"] == "known_film"
    assert error["message"] == f"you have this film already as 'one.png', with other facts: {words}"
    assert "if_known=separate" in error["hint"]
    assert "if_known=update" in error["hint"]
    assert (known["duplicate_of"], known["url"], known["name"]) == (str(there.id), f"/films/{there.id}/", "one.png")
    [difference] = known["differences"]
    assert (difference["name"], str(difference["here"])) == (name, str(float(value)) if value[0].isdigit() else value)
    assert "osteopenia" not in response.content.decode()
    assert (Film.objects.values().get(), reader.asked) == (before, [])


@pytest.mark.parametrize("facts", [{}, THERE, {"age": "44"}, {"note": "fell", "age": ""}])
def test_without_a_difference_it_is_the_one_there(send: Send, there: Film, facts: dict[str, str]) -> None:
    response = send(film_bytes(), **facts)
    assert (response.status_code, response.json()["duplicate_of"]) == (200, str(there.id))


def test_both_can_be_kept(send: Send, client: Client, reader: FakeReader, there: Film) -> None:
    reader.asked.clear()
    facts = {"age": "63", "sex": "female", "if_known": "separate"}
    response = send(film_bytes(), "two.png", **facts)
    assert (response.status_code, response.json()["duplicate_of"]) == (201, None)
    other = Film.objects.get(pk=response.json()["id"])
    assert (other.copy, other.age, other.sex, other.label_text, other.note) == (1, 63.0, "female", "", "")
    assert [facts for _, facts in reader.asked] == [{"age": "63", "sex": "female"}] * 3
    there.refresh_from_db()
    assert (there.copy, there.age, there.sex) == (0, 44.0, "male")
    again = send(film_bytes(), "two.png", **facts)
    assert (again.status_code, again.json()["id"], Film.objects.count()) == (200, str(other.id), 2)
    # Which of the two a further upload means is seen from its facts.
    assert send(film_bytes(), age="63").json()["duplicate_of"] == str(other.id)
    assert send(film_bytes()).json()["duplicate_of"] == str(there.id)
    assert send(film_bytes(), age="70").json()["known"]["duplicate_of"] == str(there.id)
    client.post(f"/films/{there.id}/delete")
    assert storage.original(other.id).read_bytes() == film_bytes()
    assert send(film_bytes(), age="70", if_known="separate").status_code == 201
    assert sorted(Film.objects.values_list("copy", flat=True)) == [1, 2]


def test_the_one_there_can_be_changed(send: Send, reader: FakeReader, there: Film) -> None:
    reader.asked.clear()
    response = send(film_bytes(), age="63", weight_kg="71.5", if_known="update")
    assert (response.status_code, response.json()["duplicate_of"]) == (200, str(there.id))
    there.refresh_from_db()
    assert (there.age, there.weight_kg, there.sex, there.label_text, there.note) == (63, 71.5, "male", "left", "fell")
    assert [facts for _, facts in reader.asked] == [{"age": "63", "sex": "male", "weight_kg": "71.5"}] * 3
    assert there.readings.count() == 6
    details = list(AuditEntry.objects.filter(film_id=there.id).order_by("pk").values_list("action", "detail"))
    assert details == [("upload", ""), ("upload", "was there already"), ("edit", "age, weight_kg")]


def test_a_label_alone_asks_nobody_again(send: Send, reader: FakeReader, there: Film) -> None:
    reader.asked.clear()
    send(film_bytes(), label_text="right", if_known="update")
    there.refresh_from_db()
    assert (there.label_text, reader.asked) == ("right", [])


def test_a_choice_that_is_none_is_named(send: Send, there: Film) -> None:
    response = send(film_bytes(), age="63", if_known="both")
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "if known is 'both': Expected ask, separate or update."
    assert Film.objects.count() == 1


def test_the_api_offers_the_same(owner: User, there: Film) -> None:
    browser, headers = Client(), {"Authorization": f"Bearer {Token.create(owner)}"}

    def post(**facts: str) -> Any:
        file = SimpleUploadedFile("two.png", film_bytes())
        return browser.post("/api/films", {"file": file, **facts}, headers=headers)

    refused = post(age="63")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "known_film")
    assert refused.json()["known"]["differences"] == [{"name": "age", "there": 44.0, "here": 63.0}]
    separate = post(age="63", if_known="separate")
    assert (separate.status_code, separate.json()["age"], separate.json()["duplicate_of"]) == (201, 63.0, None)
    changed = post(age="70", if_known="update")
    assert (changed.status_code, changed.json()["age"], changed.json()["duplicate_of"]) == (200, 70.0, str(there.id))
    assert post(age="63", if_known="x").status_code == 400


def test_somebody_else_s_film_is_not_known(there: Film, stranger: Client) -> None:
    sent = {"file": SimpleUploadedFile("a.png", film_bytes()), "age": "63"}
    assert stranger.post("/upload", sent).status_code == 201

"""The same change to many films: POST /films/selected/edit."""

from typing import Any

import pytest
from accounts.models import AuditEntry, User
from django.test import Client
from films.models import Film, Patient
from web_films import make_films

URL = "/films/selected/edit"


@pytest.fixture
def chosen(owner: User) -> str:
    """Four films: two of P-1, one of P-2, one of nobody; the third is on the left already."""
    make_films(owner, 4)
    films = list(Film.objects.order_by("name"))
    for film, name in zip(films, ("P-1", "P-1", "P-2"), strict=False):
        film.patient = Patient.objects.get_or_create(owner=owner, name=name)[0]
        film.save()
    Film.objects.filter(pk=films[2].pk).update(side="left")
    return ",".join(str(film.pk) for film in films)


def values(*names: str) -> list[tuple[Any, ...]]:
    return list(Film.objects.order_by("name").values_list(*names))


def changes(response: Any) -> list[tuple[str, str, list[tuple[str, int]], int]]:
    return [(change.name, change.value, change.before, change.count) for change in response.context["changes"]]


def test_the_form_comes_with_the_chosen_films(client: Client, chosen: str) -> None:
    page = client.post("/films/selected", {"action": "edit", "chosen": chosen, "next": "?q=film"})
    assert (page.status_code, page.context["count"], page.context["changes"]) == (200, 4, None)
    assert set(page.context["chosen"].split(",")) == set(chosen.split(","))
    assert 'href="/films/?q=film"' in page.content.decode()


def test_a_preview_says_what_changes_and_changes_nothing(client: Client, chosen: str) -> None:
    before = values("patient", "side", "note", "read_at", "assigned_to")
    fields = {"patient": "P-1", "side": "left", "empty_note": "on", "read": "unread", "assigned_to": "ada"}
    page = client.post(URL, {"chosen": chosen, **fields})
    assert changes(page) == [
        ("Patient", "P-1", [("P-2", 1), ("", 1)], 2),
        ("Note", "", [("left", 2), ("right", 2)], 4),
        ("Assigned to", "ada", [("", 4)], 4),
        ("Side", "left", [("", 3)], 3),
        ("Read", "unread", [], 0),
    ]
    assert values("patient", "side", "note", "read_at", "assigned_to") == before
    assert changes(client.post(URL, {"chosen": chosen})) == []


def test_all_fields_are_changed_and_only_those(client: Client, owner: User, chosen: str) -> None:
    bob = User.objects.create_user("bob", password="x")
    fields = {"patient": "P-9", "side": "right", "view": "PA", "note": "n", "assigned_to": "bob", "read": "read"}
    done = client.post(URL, {"chosen": chosen, "step": "apply", "next": "?page=2", **fields}, follow=True)
    assert done.redirect_chain == [("/films/?page=2", 302)]
    assert [str(message) for message in done.context["messages"]] == ["4 films changed."]
    row = ("P-9", "right", "PA", "n", bob.pk, owner.pk)
    assert values("patient__name", "side", "view", "note", "assigned_to", "read_by") == [row] * 4
    assert list(Patient.objects.values_list("name", flat=True)) == ["P-9"]
    entries = AuditEntry.objects.filter(action="edit")
    assert {entry.detail for entry in entries} == {"patient, note, assigned_to, side, view, read"}
    assert entries.count() == 4
    client.post(URL, {"chosen": chosen, "step": "apply", "side": "-", "empty_patient": "on", "empty_assigned_to": "on"})
    assert values("patient", "side", "view", "note", "assigned_to") == [(None, "", "PA", "n", None)] * 4
    assert not Patient.objects.exists()


def test_films_that_are_so_already_are_not_counted(client: Client, chosen: str) -> None:
    client.post(URL, {"chosen": chosen, "step": "apply", "side": "left"})
    assert AuditEntry.objects.filter(action="edit").count() == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"assigned_to": "nobody"},
        {"side": "both"},
        {"view": "XX"},
        {"patient": "x" * 41},
        {"note": "a\0b"},
        {"read": "x"},
    ],
)
def test_nonsense_changes_nothing_and_stands_beside_its_field(
    client: Client, chosen: str, fields: dict[str, str]
) -> None:
    before = values("patient", "side", "note", "read_at", "assigned_to")
    page = client.post(URL, {"chosen": chosen, "step": "apply", **fields})
    assert (page.status_code, list(page.context["form"].errors)) == (400, list(fields))
    assert values("patient", "side", "note", "read_at", "assigned_to") == before


def test_films_of_others_stay(stranger: Client, chosen: str) -> None:
    page = stranger.post(URL, {"chosen": chosen, "note": "mine"})
    assert (page.context["count"], changes(page)) == (0, [("Note", "mine", [], 0)])
    stranger.post(URL, {"chosen": chosen, "note": "mine", "patient": "P-8", "step": "apply"})
    assert not Film.objects.filter(note="mine").exists()
    assert not Patient.objects.filter(name="P-8").exists()
    assert stranger.get(URL).status_code == 405

"""The API's worklist, marks, assignments, shares and patients."""

import json
from typing import Any
from uuid import uuid4

import pytest
from accounts.models import AuditEntry, Token, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from films.models import Film, Patient, Share, Sighting
from people import PASSWORD
from web_films import make_films

from osteolens.rows import ErrorAnswer


class App:
    """A program with somebody's token."""

    def __init__(self, user: User) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {Token.create(user)}"})

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status, and the JSON; of an error its code."""
        response = self.client.generic(
            method, f"/api/{path}", "" if body is None else json.dumps(body), "application/json"
        )
        if response.status_code == 204:
            return 204, None
        if response.status_code >= 400:
            return response.status_code, ErrorAnswer.model_validate_json(response.content).error.code
        return response.status_code, response.json()


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password=PASSWORD)


@pytest.fixture
def ada_app(owner: User) -> App:
    return App(owner)


@pytest.fixture
def bob_app(bob: User) -> App:
    return App(bob)


@pytest.fixture
def films(owner: User) -> list[Film]:
    """Eight films, the newest first: the first two of patient P-1, right and left."""
    make_films(owner, 8)
    rows = list(Film.objects.order_by("-uploaded_at"))
    patient = Patient.objects.create(owner=owner, name="P-1")
    for film, side in zip(rows[:2], ("right", "left"), strict=True):
        Film.objects.filter(pk=film.pk).update(patient=patient, side=side)
    return rows


def names(page: tuple[int, Any]) -> list[str]:
    assert page[0] == 200
    return [film["name"] for film in page[1]["films"]]


def test_worklist(ada_app: App, bob_app: App, films: list[Film]) -> None:
    unread = ada_app("GET", "worklist")
    assert (unread[1]["count"], unread[1]["pages"]) == (8, 1)
    assert names(unread) == [film.name for film in reversed(films)]
    assert names(ada_app("GET", "worklist?view=refer"))[:2] == [films[6].name, films[2].name]
    assert names(ada_app("GET", "worklist?state=waiting")) == [films[7].name, films[3].name]
    assert names(ada_app("GET", "worklist?view=mine")) == []
    assert names(ada_app("GET", "worklist?page_size=3&page=3")) == [film.name for film in reversed(films[:2])]
    assert names(ada_app("GET", "worklist?page_size=3&page=4")) == []
    assert names(bob_app("GET", "worklist")) == []
    assert Sighting.objects.filter(user__username="ada").count() == 6  # the answered ones


def test_films_are_marked_and_assigned(ada_app: App, bob_app: App, films: list[Film]) -> None:
    film = f"films/{films[0].pk}"
    status, marked = ada_app("POST", f"{film}/mark", {"read": True})
    assert (status, marked["read_by"], marked["read_at"] is not None, marked["owner"]) == (200, "ada", True, "ada")
    assert films[0].name not in names(ada_app("GET", "worklist"))
    assert ada_app("POST", f"{film}/mark", {"read": False})[1]["read_at"] is None
    assert bob_app("POST", f"{film}/mark", {"read": True}) == (404, "not_found")
    assert bob_app("POST", f"{film}/assign", {"account": "bob"}) == (404, "not_found")
    assert ada_app("POST", f"{film}/assign", {"account": "bob"})[1]["assigned_to"] == "bob"
    assert names(bob_app("GET", "worklist?view=mine")) == [films[0].name]
    assert bob_app("POST", f"{film}/mark", {"read": True})[1]["read_by"] == "bob"
    assert bob_app("POST", f"{film}/shares", {"account": "bob"}) == (404, "not_found")
    assert ada_app("POST", f"{film}/assign", {"account": ""})[1]["assigned_to"] == ""
    assert bob_app("GET", film) == (404, "not_found")
    assert AuditEntry.objects.filter(action="assign", film_id=films[0].pk).count() == 2


def test_shares_are_listed_added_and_ended(ada_app: App, bob_app: App, films: list[Film]) -> None:
    film, patient = f"films/{films[0].pk}", f"patients/{films[0].__class__.objects.get(pk=films[0].pk).patient_id}"
    status, share = ada_app("POST", f"{film}/shares", {"account": "bob"})
    assert (status, share["account"], share["film"], share["patient"]) == (201, "bob", str(films[0].pk), None)
    assert ada_app("POST", f"{film}/shares", {"account": "bob"}) == (200, share)
    assert ada_app("GET", f"{film}/shares") == (200, [share])
    assert bob_app("GET", film)[0] == 200
    status, whole = ada_app("POST", f"{patient}/shares", {"account": "bob"})
    assert (status, whole["film"], whole["patient"]) == (201, None, patient.split("/")[1])
    assert ada_app("GET", f"{patient}/shares") == (200, [whole])
    assert {one["id"] for one in ada_app("GET", f"{film}/shares")[1]} == {share["id"], whole["id"]}
    assert len(names(bob_app("GET", "worklist"))) == 2
    for method, path in (("GET", f"{film}/shares"), ("GET", f"{patient}/shares"), ("DELETE", f"shares/{share['id']}")):
        assert bob_app(method, path) == (404, "not_found"), path
    for one in (share, whole):
        assert ada_app("DELETE", f"shares/{one['id']}") == (204, None)
        assert ada_app("DELETE", f"shares/{one['id']}") == (404, "not_found")
    assert bob_app("GET", film) == (404, "not_found")
    assert [AuditEntry.objects.filter(action=action).count() for action in ("share", "unshare")] == [3, 2]


@pytest.mark.parametrize("account", ["nobody", "closed", "ada", "", "x" * 200, "a\0b", 7, None])
def test_shares_with_nobody_are_refused(ada_app: App, films: list[Film], account: Any) -> None:
    User.objects.create_user("closed", password="x", is_active=False)
    refused = ada_app("POST", f"films/{films[0].pk}/shares", {"account": account})
    assert refused == (400, "invalid_option")
    assert not Share.objects.exists()


def test_patients(ada_app: App, bob_app: App, films: list[Film], owner: User) -> None:
    without = Patient.objects.create(owner=owner, name="P-2")
    page = ada_app("GET", "patients")[1]
    assert [(one["name"], one["count"]) for one in page["patients"]] == [("P-1", 2)]
    assert page["count"] == 1
    assert ada_app("GET", "patients?q=p-1")[1]["count"] == 1
    assert ada_app("GET", "patients?q=x")[1]["patients"] == ada_app("GET", "patients?page=2")[1]["patients"] == []
    patient = f"patients/{page['patients'][0]['id']}"
    detail = ada_app("GET", patient)[1]
    shown = {side: [film["name"] for film in detail[side]] for side in ("right", "left", "unknown")}
    assert shown == {"right": [films[0].name], "left": [films[1].name], "unknown": []}
    assert ada_app("PATCH", patient, {"name": "P-2"}) == (409, "name_taken")
    without.delete()
    assert ada_app("PATCH", patient, {"name": "P-2"})[1]["name"] == "P-2"
    for name in ("", "x" * 41, "a\0b"):
        assert ada_app("PATCH", patient, {"name": name}) == (400, "invalid_option"), name
    assert bob_app("GET", "patients")[1]["count"] == 0
    for method in ("GET", "PATCH"):
        assert bob_app(method, patient, {"name": "mine"} if method == "PATCH" else None) == (404, "not_found")
    assert bob_app("POST", f"{patient}/shares", {"account": "bob"}) == (404, "not_found")


@pytest.mark.parametrize(
    "path",
    ["worklist?view=all", "worklist?state=x", "worklist?lable=x", "worklist?page=0", "worklist?page_size=201",
     "patients?name=P-1", "patients?page=x", "patients?q=%00", "films?lable=x"],
)  # fmt: skip
def test_filters_that_do_not_exist_are_refused(ada_app: App, path: str) -> None:
    assert ada_app("GET", path) == (400, "invalid_option")


PATHS = ["worklist", "films/{id}/mark", "films/{id}/assign", "films/{id}/shares", "patients", "patients/{id}",
         "patients/{id}/shares", "shares/1"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_errors_are_json(ada_app: App, path: str) -> None:
    url = path.format(id=uuid4())
    assert ada_app("PUT", url) == (405, "wrong_method")
    assert "Allow" in ada_app.client.put(f"/api/{url}")
    method = "DELETE" if path == "shares/1" else "POST" if path.endswith(("mark", "assign")) else "GET"
    refused = Client().generic(method, f"/api/{url}")
    assert (refused.status_code, refused["WWW-Authenticate"]) == (401, "Bearer")
    if "{" in path or "1" in path:
        body = {"read": True, "account": "ada"} if method == "POST" else None
        assert ada_app(method, url, body) == (404, "not_found")
        assert ada_app(method, path.format(id="nonsense").replace("/1", "/x"), body)[0] in (400, 404)


def test_as_many_queries_with_thirty_as_with_three_hundred_films(ada_app: App, owner: User) -> None:
    def queries(path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert ada_app("GET", path)[0] == 200
        return len(captured)

    counts = []
    for number in (30, 300):
        Film.objects.all().delete()
        make_films(owner, number)
        patient = Patient.objects.get_or_create(owner=owner, name="P-1")[0]
        Film.objects.update(patient=patient)
        for path in ("worklist", f"patients/{patient.pk}"):
            ada_app("GET", path)  # so that all are seen
        counts.append([queries(path) for path in ("worklist", "patients", f"patients/{patient.pk}")])
    assert counts[0][:2] == counts[1][:2]
    assert counts[1][2] == counts[0][2] + 1  # a patient's films are all shown: noted as seen 200 at a time

"""The API for other apps."""

import io
import json
from typing import Any
from uuid import uuid4

import pytest
from accounts.models import AuditEntry, Token, User
from api import schemas as api_schemas
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from fake_reader import FakeReader
from films.models import Film
from people import PASSWORD
from PIL import Image
from web_films import film_bytes, make_films

from osteolens.rows import ErrorAnswer
from osteolens.schema import Answer


def with_token(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {Token.create(user)}"})


@pytest.fixture
def app(owner: User) -> Client:
    """The owner's app."""
    return with_token(owner)


@pytest.fixture
def other_app(db: None) -> Client:
    """Somebody else's app."""
    return with_token(User.objects.create_user("bob", password=PASSWORD))


def code_of(response: Any) -> str:
    """The code of an error, which must follow the schema."""
    return ErrorAnswer.model_validate_json(response.content).error.code


def log_in(username: str, password: str) -> Any:
    return Client().post("/api/token", {"username": username, "password": password}, "application/json")


def test_a_token_opens_the_api_and_is_stored_as_a_hash(owner: User) -> None:
    response = log_in("ada", PASSWORD)
    assert response.status_code == 200
    token = response.json()["token"]
    assert token not in str(list(Token.objects.values()))
    app = Client(headers={"Authorization": f"Bearer {token}"})
    assert app.get("/api/films").status_code == 200
    assert app.delete("/api/token").status_code == 204
    assert code_of(app.get("/api/films")) == "no_token"


def test_wrong_log_ins(owner: User) -> None:
    for name, word in (("ada", "wrong"), ("nobody", PASSWORD), ("a\0b", "x"), ("\ud800", "x"), ("ada", "\ud800")):
        response = log_in(name, word)
        assert (response.status_code in (400, 401), code_of(response) in ("wrong_login", "invalid_option")) == (
            True,
            True,
        )
    assert log_in("ada", "x" * 2000).status_code == 400
    assert Client().post("/api/token", b"{", "application/json").status_code == 400
    assert Client().post("/api/token", b"[1]", "application/json").status_code == 400
    assert Client().post("/api/token", b"\xff\xfe", "application/json").status_code == 400


def test_too_many_wrong_log_ins(owner: User) -> None:
    for _ in range(5):
        last = log_in("ada", "wrong")
    assert (last.status_code, code_of(last)) == (429, "too_many_attempts")
    assert (log_in("ada", PASSWORD).status_code, last["Retry-After"]) == (429, "900")
    assert AuditEntry.objects.filter(action="failed log-in", user_name="ada").count() == 6


def test_a_one_time_password_gives_no_token(owner: User) -> None:
    User.objects.update(must_change_password=True)
    assert code_of(log_in("ada", PASSWORD)) == "password_must_change"
    assert not Token.objects.exists()


def test_tokens_end_with_the_password_and_with_the_account(owner: User, client: Client, app: Client) -> None:
    User.objects.update(is_active=False)
    assert app.get("/api/films").status_code == 401
    User.objects.update(is_active=True)
    assert app.get("/api/films").status_code == 200
    new = "a louder afternoon"
    client.post("/accounts/password", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    assert app.get("/api/films").status_code == 401


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Basic YWRhOng=", "Bearer \xff"])
def test_no_token(owner: User, header: str) -> None:
    response = Client(headers={"Authorization": header}).get("/api/films")
    assert (response.status_code, code_of(response)) == (401, "no_token")


def test_a_browser_session_is_no_token(client: Client, film: Film) -> None:
    """So that no page elsewhere can use it: the API has no CSRF check."""
    assert client.get("/api/films").status_code == 401
    assert client.delete(f"/api/films/{film.id}").status_code == 401


def test_send_and_show(app: Client, reader: FakeReader) -> None:
    sent = app.post("/api/films", {"file": SimpleUploadedFile("a.png", film_bytes()), "age": "63", "sex": "female"})
    assert sent.status_code == 201
    body = sent.json()
    assert (body["state"], body["label"], body["age"], body["duplicate_of"]) == ("answered", "osteopenia", 63.0, None)
    assert body["url"] == f"/films/{body['id']}/"
    again = app.post("/api/films", {"file": SimpleUploadedFile("b.png", film_bytes())})
    assert (again.status_code, again.json()["duplicate_of"]) == (200, body["id"])
    shown = app.get(f"/api/films/{body['id']}").json()
    assert {name: shown[name] for name in body} == body
    answers = {reading["model"]: Answer.model_validate(reading["answer"]) for reading in shown["readings"]}
    assert answers["knee"].fused is not None
    assert answers["knee"].explanations == ()
    full = app.get(f"/api/films/{body['id']}?maps=true").json()["readings"]
    assert {len(Answer.model_validate(answer["answer"]).explanations) for answer in full} == {3}


def test_bad_films(app: Client) -> None:
    assert code_of(app.post("/api/films", {"file": SimpleUploadedFile("a.png", b"%PDF-1.7")})) == "unsupported_type"
    assert app.post("/api/films", {"age": "1"}).status_code == 400
    bad_age = app.post("/api/films", {"file": SimpleUploadedFile("a.png", film_bytes()), "age": "old"})
    assert (bad_age.status_code, code_of(bad_age)) == (400, "invalid_option")
    assert not Film.objects.exists()


def test_uploads_are_limited(app: Client, settings: Any) -> None:
    settings.UPLOADS_PER_MINUTE = 1
    app.post("/api/films", {"file": SimpleUploadedFile("a.png", film_bytes())})
    response = app.post("/api/films", {"file": SimpleUploadedFile("a.png", film_bytes(1))})
    assert (response.status_code, code_of(response)) == (429, "too_many_uploads")
    assert response["Retry-After"] == str(response.json()["error"]["retry_after"]) == "60"


def test_a_waiting_film(app: Client, reader: FakeReader) -> None:
    reader.go_away()
    sent = app.post("/api/films", {"file": SimpleUploadedFile("a.png", film_bytes())}).json()
    readings = app.get(f"/api/films/{sent['id']}").json()["readings"]
    assert {(reading["state"], reading["answer"], reading["error"]["code"]) for reading in readings} == {
        ("queued", None, "server_away")
    }


def test_list(app: Client, other_app: Client, owner: User) -> None:
    make_films(owner, 8)
    first = app.get("/api/films?page_size=3").json()
    assert (first["count"], first["page"], first["pages"]) == (8, 1, 3)
    assert [film["name"] for film in first["films"]] == ["film00000.png", "film00001.png", "film00002.png"]
    films = app.get("/api/films?q=left&label=osteopenia&sort=oldest&from=2026-01-01").json()["films"]
    assert [film["name"] for film in films] == ["film00005.png", "film00001.png"]
    assert other_app.get("/api/films").json() == {"count": 0, "page": 1, "pages": 1, "films": []}
    # A client that asks for page after page comes to an end.
    beyond = app.get("/api/films?page_size=3&page=4").json()
    assert (beyond["count"], beyond["page"], beyond["pages"], beyond["films"]) == (8, 4, 3, [])


@pytest.mark.parametrize(
    "query",
    [
        "page=0", "page=x", "page_size=1000", "from=yesterday", "sort=x", "triage=x", "lable=normal", "q=%00",
        "label=" + "x" * 101,
    ],
)  # fmt: skip
def test_filters_that_make_no_sense_are_refused(app: Client, query: str) -> None:
    response = app.get(f"/api/films?{query}")
    assert (response.status_code, code_of(response)) == (400, "invalid_option")


@pytest.mark.parametrize(
    ("query", "message", "hint"),
    [
        ("page=0", "page is '0': it should be greater than or equal to 1", "for example page=1; see /api/docs"),
        ("triage=zz", "triage is 'zz': it should be '', 'refer', 'uncertain' or 'low suspicion'",
         "for example triage=refer; see /api/docs"),
        ("from=yesterday", "from is 'yesterday': it should be a valid date", "for example from=2026-11-01; see /api/d"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_value_what_is_expected_and_an_example(
    app: Client, query: str, message: str, hint: str
) -> None:
    error = app.get(f"/api/films?{query}").json()["error"]
    assert (error["message"][: len(message)], error["hint"][: len(hint)]) == (message, hint)


def test_a_password_is_not_repeated_and_a_missing_field_is_named(client: Client) -> None:
    secret = {"username": "ada", "password": ["hunter2"]}
    error = client.post("/api/token", secret, "application/json").json()["error"]
    assert error["message"].startswith("password")
    assert "hunter2" not in str(error)
    error = client.post("/api/token", {"username": "ada"}, "application/json").json()["error"]
    assert error["message"] == "password is missing"
    error = client.post("/api/token", "username=ada", "application/json").json()["error"]
    assert error["message"] == "the body is not JSON"
    assert '{"account": "anna"}' in error["hint"]


def test_a_wrong_method_is_answered_in_json(app: Client) -> None:
    response = app.put("/api/films", "{}", content_type="application/json")
    assert (response.status_code, code_of(response), response["Content-Type"]) == (
        405, "wrong_method", "application/json",
    )  # fmt: skip
    assert "GET" in response["Allow"]


def test_map(app: Client, film: Film) -> None:
    response = app.get(f"/api/films/{film.id}/map/osteoporosis?model=yolov5")
    assert Image.open(io.BytesIO(response.getvalue())).size == (192, 256)
    for path in ("map/x", "map/osteoporosis?model=x"):
        assert code_of(app.get(f"/api/films/{film.id}/{path}")) == "not_found"


def test_delete(app: Client, film: Film) -> None:
    assert app.delete(f"/api/films/{film.id}").status_code == 204
    assert app.delete(f"/api/films/{film.id}").status_code == 404
    assert not Film.objects.exists()


@pytest.mark.parametrize(("method", "path"), [("get", ""), ("get", "/map/normal"), ("delete", "")])
def test_refusals(app: Client, other_app: Client, film: Film, method: str, path: str) -> None:
    wrong_owner = getattr(other_app, method)(f"/api/films/{film.id}{path}")
    assert (wrong_owner.status_code, code_of(wrong_owner)) == (404, "not_found")
    assert getattr(app, method)(f"/api/films/{uuid4()}{path}").status_code == 404
    assert getattr(app, method)(f"/api/films/nonsense{path}").status_code in (400, 404)
    assert app.put(f"/api/films/{film.id}{path}").status_code == 405
    assert Film.objects.filter(pk=film.id).exists()


def test_unknown_addresses_answer_in_json(app: Client) -> None:
    response = app.get("/api/nothing")
    assert (response.status_code, code_of(response)) == (404, "not_found")


def test_the_document_has_examples_that_hold(db: None) -> None:
    document = json.loads(Client().get("/api/openapi.json").content)
    assert set(document["paths"]) == {
        "/api/token",
        "/api/films",
        "/api/films/{film_id}",
        "/api/films/{film_id}/reread",
        "/api/films/{film_id}/map/{label}",
        "/api/films/{film_id}/mark",
        "/api/films/{film_id}/assign",
        "/api/films/{film_id}/shares",
        "/api/worklist",
        "/api/shares/{share_id}",
        "/api/patients",
        "/api/patients/{patient_id}",
        "/api/patients/{patient_id}/shares",
    }
    schemas = document["components"]["schemas"]
    assert set(Answer.model_json_schema(by_alias=True, mode="serialization")["properties"]) == set(
        schemas["Answer"]["properties"]
    )
    names = "FilmOut FilmDetail FilmPage LogIn NewToken WorkPage ShareOut PatientPage PatientDetail"
    for name in names.split():
        (example,) = schemas[name]["examples"]
        getattr(api_schemas, name).model_validate(example)


def test_the_page_to_try_it_runs_without_inline_scripts(db: None) -> None:
    page = Client().get("/api/docs")
    assert page.status_code == 200
    text = page.content.decode()
    assert "cdn" not in text
    assert [part.split(">")[0] for part in text.split("<script")[1:] if "src=" not in part.split(">")[0]] == [
        ' type="application/json" id="swagger-settings"'
    ]

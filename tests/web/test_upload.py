"""POST /upload and the page /."""

import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from accounts.models import AuditEntry, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone
from fake_reader import FakeReader
from films import storage
from films.models import Film, Reading
from support.dicom import dataset, save
from uploads import intake, known
from web_films import film_bytes

from osteolens.films.read import SUPPORTED, read

Send = Callable[..., Any]


def test_a_film_is_stored_and_answered(send: Send, owner: User, reader: FakeReader) -> None:
    data = film_bytes(kind="JPEG", size=(200, 100))
    response = send(data, "left knee.jpg", age="63", sex="female", label_text="left", note="fell")
    assert response.status_code == 201
    film = Film.objects.get()
    assert response.json() == {
        "id": str(film.id), "url": f"/films/{film.id}/", "thumb": f"/films/{film.id}/thumb.jpg",
        "name": "left knee.jpg", "state": "answered", "label": "osteopenia", "headline": "osteopenia",
        "triage": "uncertain", "warnings": film.all_warnings, "duplicate_of": None,
    }  # fmt: skip
    assert (film.owner, film.width, film.height, film.format) == (owner, 200, 100, "JPEG")
    assert film.sha256 == hashlib.sha256(data).hexdigest()
    assert (film.age, film.sex, film.label_text, film.note) == (63.0, "female", "left", "fell")
    assert (film.model, film.model_version, film.probability, film.t_score) == ("knee", "1.0", 0.5, -1.8)
    assert storage.original(film.id).read_bytes() == data
    assert sorted(model for model, _ in reader.asked) == ["efficientnet", "knee", "yolov5"]
    assert {tuple(facts.items()) for _, facts in reader.asked} == {(("age", "63"), ("sex", "female"))}
    assert [reading.state for reading in film.readings.all()] == ["answered"] * 3
    lines = AuditEntry.objects.exclude(action="log-in").values_list("action", "film_id")
    assert list(lines) == [("upload", film.id)]


@pytest.mark.parametrize("kind", SUPPORTED)
def test_every_format_is_taken(send: Send, kind: str) -> None:
    assert send(film_bytes(kind=kind)).status_code == 201
    assert Film.objects.get().format == kind


def test_of_a_dicom_film_pixels_and_facts_are_kept_and_no_name(send: Send, reader: FakeReader) -> None:
    pixels = np.tile(np.arange(100, dtype=np.uint8), (80, 1))
    film = dataset(
        pixels, PatientName="Mustermann^Erika", PatientID="4711-0815", SeriesDescription="Mustermann left",
        PatientAge="063Y", PatientSex="F", PatientWeight=70.5, PatientSize=1.62,
    )  # fmt: skip
    assert send(save(film), "film.dcm", age="64").status_code == 201
    row = Film.objects.get()
    assert (row.age, row.sex, row.weight_kg, row.height_m) == (64.0, "female", 70.5, 1.62)  # the form's own age counts
    kept = storage.original(row.id).read_bytes()
    for data in (kept, *reader.films):
        assert b"Mustermann" not in data
        assert b"4711" not in data
    assert np.array_equal(read(kept).pixels, pixels)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "empty_body"),
        (film_bytes()[:200], 400, "unreadable_image"),
        (b"%PDF-1.7 and so on", 415, "unsupported_type"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_type"),
        (film_bytes(size=(20, 20)), 422, "unusable_image"),
    ],
)
def test_a_bad_file_says_why(send: Send, data_folder: Any, content: bytes, status: int, code: str) -> None:
    response = send(content)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert response.json()["error"]["message"]
    assert not Film.objects.exists()
    assert not list(data_folder.rglob("*.png"))


def test_no_file(client: Client) -> None:
    assert client.post("/upload", {"age": "63"}).json()["error"]["code"] == "no_file"
    assert client.post("/upload", b"{}", "application/json").json()["error"]["code"] == "no_file"
    broken = client.post("/upload", b"--x\r\nnonsense", "multipart/form-data; boundary=x")
    assert broken.json()["error"]["code"] == "no_file"
    no_boundary = client.post("/upload", b"x", "multipart/form-data")
    assert no_boundary.status_code == 400
    assert no_boundary.json()["error"]["code"] == "bad_request"


@pytest.mark.parametrize(
    "facts",
    [{"age": "121"}, {"age": "nan"}, {"age": "old"}, {"sex": "x"}, {"weight_kg": "1e400"}, {"height_m": "162"},
     {"label_text": "x" * 101}, {"note": "a\0b"}],
)  # fmt: skip
def test_a_bad_fact_is_named(send: Send, facts: dict[str, str]) -> None:
    response = send(film_bytes(), **facts)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_option"
    assert response.json()["error"]["message"].startswith(next(iter(facts)).replace("_", " "))
    assert not Film.objects.exists()


def test_the_same_film_again_is_the_one_there(send: Send, film: Film, reader: FakeReader) -> None:
    reader.asked.clear()
    response = send(film_bytes(), "another name.png")
    assert response.status_code == 200
    assert response.json()["id"] == response.json()["duplicate_of"] == str(film.id)
    assert (Film.objects.count(), reader.asked) == (1, [])


def test_two_people_may_have_the_same_film(film: Film, stranger: Client) -> None:
    response = stranger.post("/upload", {"file": SimpleUploadedFile("a.png", film_bytes())})
    assert response.status_code == 201
    assert Film.objects.count() == 2


def test_two_tabs_send_the_same_film_at_once(owner: User, film: Film, data_folder: Any) -> None:
    """The second one looks before the first one's row is there, and is refused by the database."""
    with patch.object(intake.known, "films_of", side_effect=[[], [film], [film]]):
        assert intake.receive(owner, "b.png", film_bytes(), {}) == (film, False, [])
    assert len(list(data_folder.glob("films/*/*"))) == 1


def test_two_tabs_send_the_same_film_at_once_for_two_patients(owner: User, film: Film, data_folder: Any) -> None:
    with (
        patch.object(intake.known, "films_of", side_effect=[[], [film], [film]]),
        pytest.raises(known.KnownFilm, match="age is empty there and 63 here"),
    ):
        intake.receive(owner, "b.png", film_bytes(), {"age": 63.0})
    with patch.object(intake.known, "films_of", side_effect=[[], [film], [film]]):
        other, created, _ = intake.receive(owner, "b.png", film_bytes(), {"age": 63.0}, "separate")
    assert (other.copy, other.age, created) == (1, 63.0, True)
    assert len(list(data_folder.glob("films/*/*"))) == 2


def test_a_failure_leaves_nothing_behind(owner: User, data_folder: Any) -> None:
    with (
        patch.object(intake.answering, "enqueue", side_effect=OSError("no space")),
        pytest.raises(OSError, match="no space"),
    ):
        intake.receive(owner, "a.png", film_bytes(), {})
    assert not Film.objects.exists()
    assert not Reading.objects.exists()
    assert not list(data_folder.glob("films/*/*"))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\knee.png", "knee.png"),
        ("/", "film"),
        ("..", "film"),
        ("", "film"),
        ("a\x00b\x1b\u202e.png", "ab.png"),
        ("knee\ud800.png", "knee?.png"),
        ("\u819d \u043a\u043e\u043b\u0435\u043d\u043e.png", "\u819d \u043a\u043e\u043b\u0435\u043d\u043e.png"),
        ("x" * 300 + ".png", "x" * 196 + ".png"),
        ("<script>alert(1)</script>", "script>"),
    ],
)
def test_names_are_plain(name: str, plain: str) -> None:
    assert intake.plain_name(name) == plain


def test_quotes_that_a_browser_writes_as_a_code_are_quotes_again() -> None:
    assert intake.plain_name("Anna %22left%22 knee.png") == 'Anna "left" knee.png'
    assert intake.plain_name("50%25.png") == "50%25.png"


def test_a_name_that_lies_about_its_encoding(client: Client) -> None:
    body = (
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename*=UTF-8''%ff%00..%2f..%2fa.png\r\n\r\n"
        + film_bytes()
        + b"\r\n--x--\r\n"
    )
    assert client.post("/upload", body, "multipart/form-data; boundary=x").status_code in (201, 400)


def test_too_many_bytes_are_refused_unread(client: Client, settings: Any) -> None:
    settings.MAX_UPLOAD_MB, settings.MAX_UPLOAD_BYTES = 1, 1024**2
    big = client.post("/upload", {"file": SimpleUploadedFile("a.png", bytes(3 * 1024**2))})
    assert (big.status_code, big.json()["error"]["code"]) == (413, "too_large")
    little_over = client.post("/upload", {"file": SimpleUploadedFile("a.png", bytes(1024**2 + 1))})
    assert (little_over.status_code, little_over.json()["error"]["code"]) == (413, "too_large")
    page = client.post("/films/selected", {"films": "x" * (3 * 1024**2)})
    assert page.status_code == 413
    assert "text/html" in page["Content-Type"]


def test_films_a_minute_are_limited(send: Send, settings: Any) -> None:
    settings.UPLOADS_PER_MINUTE = 2
    assert [send(film_bytes(seed)).status_code for seed in range(3)] == [201, 201, 429]
    first, _ = AuditEntry.objects.filter(action="upload").order_by("pk")
    AuditEntry.objects.filter(pk=first.pk).update(at=timezone.now() - timedelta(seconds=50))
    response = send(b"")
    # The first of the two is a minute old in ten seconds.
    assert (response.status_code, response["Retry-After"]) == (429, "10")
    assert response.json()["error"]["code"] == "too_many_uploads"


def test_bad_files_count_too(send: Send, settings: Any) -> None:
    settings.UPLOADS_PER_MINUTE = 2
    assert [send(b"").status_code for _ in range(3)] == [400, 400, 429]


def test_the_server_is_away(send: Send, reader: FakeReader) -> None:
    reader.go_away()
    response = send(film_bytes())
    assert (response.status_code, response.json()["state"]) == (201, "waiting")
    assert set(Reading.objects.values_list("state", "error_code", "lease")) == {("queued", "server_away", None)}


def test_log_in_is_needed(db: None) -> None:
    response = Client().post("/upload", {"file": SimpleUploadedFile("a.png", film_bytes())})
    assert (response.status_code, response.json()["error"]["code"]) == (401, "not_logged_in")


def test_a_form_from_elsewhere_is_refused(owner: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(owner)
    response = browser.post("/upload", {"file": SimpleUploadedFile("a.png", film_bytes())})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "csrf")
    token = browser.get("/session").json()["csrf"]
    sent = browser.post("/upload", {"file": SimpleUploadedFile("a.png", film_bytes())}, headers={"X-CSRFToken": token})
    assert sent.status_code == 201


def test_wrong_methods(client: Client) -> None:
    assert client.get("/upload").status_code == 405
    assert client.post("/").status_code == 405
    assert client.post("/session").status_code == 405


def test_the_page_shows_the_last_films(client: Client, film: Film) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert [row["id"] for row in response.context["rows"]] == [film.id]
    assert "image/tiff" in response.context["accept"]
    assert ".dcm" in response.context["accept"]
    assert response["Cache-Control"] == "private, no-store"


def test_the_page_shows_only_ones_own(stranger: Client, film: Film) -> None:
    assert stranger.get("/").context["rows"] == []


def test_session_says_who_is_there(client: Client, db: None) -> None:
    assert client.get("/session").json()["user"] == "ada"
    assert Client().get("/session").json()["user"] is None


@pytest.mark.django_db(transaction=True)
def test_the_same_film_from_many_threads_is_one_film(owner: User, reader: FakeReader, data_folder: Any) -> None:
    received: list[intake.Received] = []

    def work() -> None:
        try:
            received.append(intake.receive(owner, "a.png", film_bytes(), {}))
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(film.created for film in received) == [False, False, False, True]
    assert (Film.objects.count(), len(reader.asked), len(list(data_folder.glob("films/*/*")))) == (1, 3, 1)

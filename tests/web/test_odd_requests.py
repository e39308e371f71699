"""Requests that no browser sends: an error object or page with its status, never 500."""

from urllib.parse import quote

import pytest
from accounts.models import Token, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from web_films import film_bytes

FORM = "multipart/form-data; boundary=x"
PART = b"--x\r\nContent-Disposition: form-data"


@pytest.fixture
def program(owner: User) -> Client:
    """Logged in by session and by token; an error is answered as it is in use."""
    client = Client(raise_request_exception=False, headers={"Authorization": f"Bearer {Token.create(owner)}"})
    client.force_login(owner)
    return client


def test_a_repeated_part_is_refused(program: Client) -> None:
    for path in ("/upload", "/api/films"):
        parts = {"file": SimpleUploadedFile("a.png", film_bytes()), "age": ["63", "36"]}
        response = program.post(path, parts)
        assert (response.status_code, response.json()["error"]["message"]) == (400, "age comes 2 times")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data; boundary="),
        (b"", "multipart/form-data"),
        (PART + b"\r\n\r\na\r\n--x--\r\n", FORM),
        (PART + b'; name=""\r\n\r\na\r\n--x--\r\n', FORM),
        (PART + b'; name="file"; filename="a.png"\r\n\r\na', FORM),
        (b"\xff" * 100, FORM),
        (b"\xff" * 100, "application/x-www-form-urlencoded"),
        (b"{", "application/json"),
    ],
)
def test_damaged_forms_are_error_objects(program: Client, body: bytes, content_type: str) -> None:
    for path in ("/upload", "/api/films", "/api/token"):
        response = program.post(path, body, content_type)
        assert 400 <= response.status_code < 500, path
        assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("page", "9" * 400), ("page", "-1"), ("page_size", "1e9"), ("q", "\0"), ("q", "\ud800"), ("from", "x"),
     ("label", "x" * 9000), ("sort", "x"), ("to", "9999-12-31")],
)  # fmt: skip
def test_odd_queries(program: Client, name: str, value: str) -> None:
    query = f"{name}={quote(value.encode('utf-8', 'surrogatepass'))}"
    for path in ("/films/", "/api/films", "/films/export.csv", "/reviews/"):
        assert program.get(f"{path}?{query}").status_code < 500, path

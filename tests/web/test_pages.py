"""Pages without a log-in, error pages, and headers."""

import gzip
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client, override_settings
from films import reachable
from films.models import Film


def test_health_asks_nobody_else(db: None) -> None:
    with patch("project.pages.connection.cursor", side_effect=DatabaseError):
        assert Client().get("/healthz").json() == {"ok": True}
    assert Client().post("/healthz").status_code == 405
    # A probe knows no name of the app.
    response = Client().get("/healthz", headers={"Host": "10.1.2.3:8000"})
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")


READY = {"ok": True, "database": True, "migrations": True, "storage": True, "reading": True}


def test_readiness_names_what_is_missing(db: None, data_folder: Path) -> None:
    data_folder.mkdir()
    assert Client().get("/readyz").json() == READY
    assert Client().post("/readyz").status_code == 405
    with patch("project.pages.connection.cursor", side_effect=DatabaseError):
        response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (
        503, READY | {"ok": False, "database": False, "migrations": False},
    )  # fmt: skip
    recorder = MigrationRecorder(connection)
    (latest,) = MigrationLoader(connection).graph.leaf_nodes("xrays")
    recorder.record_unapplied(*latest)
    response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (503, READY | {"ok": False, "migrations": False})
    recorder.record_applied(*latest)
    data_folder.rmdir()
    response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (503, READY | {"ok": False, "storage": False})


def test_a_server_of_answers_that_is_away_leaves_the_app_ready(db: None, data_folder: Path) -> None:
    data_folder.mkdir()
    reachable.note_away("a test")
    response = Client().get("/readyz")
    assert (response.status_code, response.json()) == (200, READY | {"reading": False})


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/sw.js", "text/javascript"),
        ("/offline", "text/html"),
    ],
)
def test_what_makes_it_installable(db: None, url: str, kind: str) -> None:
    response = Client().get(url)
    assert (response.status_code, response["Content-Type"].split(";")[0]) == (200, kind)
    assert Client().post(url).status_code == 405


def test_the_service_worker_may_look_after_all_pages(db: None) -> None:
    assert Client().get("/sw.js")["Service-Worker-Allowed"] == "/"


def test_not_found_pages(client: Client) -> None:
    for url in ("/nothing", "/films/../../etc/passwd", "/films/%2e%2e/", "/static/../manage.py", "/films/x/"):
        assert client.get(url).status_code == 404, url


def test_a_foreign_host_is_refused(client: Client) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_an_unexpected_fault_is_a_page_without_details(client: Client) -> None:
    client.raise_request_exception = False
    with patch("uploads.views.FactsForm.of", side_effect=RuntimeError("secret detail")):
        response = client.get("/")
    assert response.status_code == 500
    assert "secret detail" not in response.content.decode()


def test_headers(client: Client) -> None:
    response = client.get("/")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in response
    policy = dict(part.strip().partition(" ")[::2] for part in response["Content-Security-Policy"].split(";"))
    assert policy == {
        "default-src": "'self'", "img-src": "'self' blob: data:", "object-src": "'none'", "base-uri": "'none'",
        "form-action": "'self'", "frame-ancestors": "'none'",
    }  # fmt: skip


def test_behind_tls(client: Client, settings: Any) -> None:
    https = {"SECURE_SSL_REDIRECT": True, "SECURE_HSTS_SECONDS": 31536000,
             "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}  # fmt: skip
    with override_settings(**https):
        assert client.get("/")["Location"].startswith("https://")
        inside = client.get("/", headers={"X-Forwarded-Proto": "https"})
        assert inside["Strict-Transport-Security"] == "max-age=31536000"
        assert Client().get("/healthz").status_code == 200  # who asks is on this machine, without TLS
        assert Client().get("/readyz").headers["Content-Type"] == "application/json"


def test_pages_are_compressed_and_pictures_keep_their_length(client: Client, film: Film) -> None:
    accepting = {"Accept-Encoding": "gzip"}
    page, plain = client.get("/films/", headers=accepting), client.get("/films/")
    assert (page["Content-Encoding"], page["Content-Length"]) == ("gzip", str(len(page.content)))
    assert gzip.decompress(page.content).startswith(b"<!doctype html>")
    assert len(page.content) < len(plain.content) / 2
    assert plain.content.startswith(b"<!doctype html>")
    assert "Accept-Encoding" in plain["Vary"]
    picture = client.get(f"/films/{film.id}/picture.png", headers=accepting)
    assert ("Content-Encoding" in picture, picture["Content-Length"]) == (False, str(len(picture.getvalue())))
    table = client.get("/films/export.csv", headers=accepting)
    assert film.name in gzip.decompress(table.getvalue()).decode()


def test_a_compressed_script_is_not_sent_twice(client: Client) -> None:
    accepting = {"Accept-Encoding": "gzip"}
    script = client.get("/static/js/site.js", headers=accepting)
    text = gzip.decompress(script.getvalue())
    assert text == client.get("/static/js/site.js").getvalue()
    assert script["ETag"].startswith("W/")
    known = accepting | {"If-None-Match": script["ETag"]}
    assert client.get("/static/js/site.js", headers=known).status_code == 304
    part = client.get("/static/js/site.js", headers=accepting | {"Range": "bytes=0-299"})
    assert (part.status_code, "Content-Encoding" in part, part.getvalue()) == (206, False, text[:300])

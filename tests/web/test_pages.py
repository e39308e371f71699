"""Pages without a log-in, error pages, and headers."""

from typing import Any
from unittest.mock import patch

import pytest
from django.db import DatabaseError
from django.test import Client, override_settings


def test_health(db: None) -> None:
    assert Client().get("/healthz").json() == {"ok": True}
    assert Client().post("/healthz").status_code == 405
    with patch("project.pages.connection.cursor", side_effect=DatabaseError):
        assert Client().get("/healthz").status_code == 503


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
        assert Client().get("/healthz").status_code == 200

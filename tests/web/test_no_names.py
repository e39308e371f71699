"""Who the patient of a DICOM film is reaches no page, file, header, address, row or log line of the app."""

import io
import logging
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accounts.models import AuditEntry, Token, User
from django.db import connection
from django.test import Client
from films import archiving
from films.dicom_objects import KINDS
from films.models import Delivery, Film
from pdf_pages import pdf_text
from support.planted import broken, leaks, leaks_below, planted, unpacked

from osteolens.dicomweb import archive

PAGES = (
    "/", "/films/", "/films/?sort=patient", "/films/export.csv", "/compare?films={id}&films={id}", "/films/{id}/",
    "/films/{id}/state", "/films/{id}/picture.png", "/films/{id}/thumb.jpg", "/films/{id}/overlay.png",
    "/films/{id}/answer.json", "/films/{id}/report.pdf", "/films/{id}/original", "/patients/{patient}/",
    "/films/{id}/dicom/all", *(f"/films/{{id}}/dicom/{kind}" for kind in KINDS), "/reviews/{id}/", "/api/films",
    "/api/films/{id}",
)  # fmt: skip


def written(response: Any) -> bytes:
    """A response's status, headers and body, the files of a zip archive among it."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    if response["Content-Type"] == "application/zip":
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            body += b"".join(packed.read(name) for name in packed.namelist())
    headers = "\n".join(f"{name}: {value}" for name, value in response.items())
    return f"{response.status_code}\n{headers}\n".encode() + unpacked(body)


def rows() -> str:
    """Every column of every row of the database."""
    with connection.cursor() as cursor:
        texts = []
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            texts += [repr(row) for row in cursor.fetchall()]
    return "\n".join(texts)


def test_no_page_file_header_row_or_log_line_names_the_patient(
    send: Callable[..., Any], client: Client, owner: User, data_folder: Path, caplog: pytest.LogCaptureFixture,
    settings: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    settings.DICOMWEB_URL = "http://127.0.0.1:9/dicom-web"
    monkeypatch.setattr(archive, "ATTEMPTS", 1)
    response = send(planted(), "knee.dcm")
    assert response.status_code == 201
    film = Film.objects.get()
    contents = [written(response)]
    with_token = Client(headers={"Authorization": f"Bearer {Token.create(owner)}"})
    for page in PAGES:
        browser = with_token if page.startswith("/api") else client
        contents.append(written(shown := browser.get(page.format(id=film.id, patient=film.patient_id))))
        assert shown.status_code == 200, page
        if page.endswith(".pdf"):
            contents.append(pdf_text(contents[-1].partition(b"%PDF")[2]).encode())
    contents.append(written(send(planted(), "again.dcm", age="50")))
    for content in broken().values():
        contents.append(written(refused := send(content, "broken.dcm")))
        assert refused.status_code in (200, 201, 400, 409, 415, 422)
    assert [leaks(content, dates=True) for content in contents if leaks(content, dates=True)] == []
    contents.append(written(client.post(f"/films/{film.id}/archive")))
    assert archiving.deliver_due(10) == 1
    assert Delivery.objects.get().message
    contents.append(written(client.get(f"/films/{film.id}/")))
    assert [leaks(content, dates=True) for content in contents if leaks(content, dates=True)] == []
    assert AuditEntry.objects.count() > len(PAGES)
    assert leaks(rows().encode(), dates=True) == []
    assert leaks_below(data_folder) == {}
    assert leaks(caplog.text.encode(), dates=True) == []

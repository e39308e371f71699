"""Answers as DICOM objects: sent to a real archive by the queue's worker, and downloaded under a pseudonym."""

import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from accounts.models import AuditEntry, User
from dicomweb.films import SECRETS, film_study
from dicomweb.films import film as archived
from dicomweb.orthanc import PASSWORD, USER, Orthanc
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from films import archiving, storage
from films.dicom_objects import KINDS
from films.models import Delivery, Film, Patient
from pydicom import dcmread
from pydicom.dataset import Dataset
from refusals import check_refusals
from test_no_names import rows
from web_films import film_bytes, let_deletions_pass

from osteolens.dicomweb import archive

Send = Callable[..., Any]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture(autouse=True)
def configured(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An archive where nobody listens, until a test names another; asked once instead of with pauses."""
    monkeypatch.setattr(archive, "ATTEMPTS", 1)
    settings.DICOMWEB_URL, settings.DICOMWEB_USER, settings.DICOMWEB_PASSWORD = "http://127.0.0.1:9/x", USER, PASSWORD
    archiving._archive.cache_clear()
    yield
    archiving._archive.cache_clear()


def uploaded(send: Send, content: bytes) -> Film:
    return Film.objects.get(pk=send(content, "knee.dcm").json()["id"])


def sent(client: Client, film: Film) -> Delivery:
    """The delivery of the film's main answer after a turn of the worker."""
    assert client.post(f"/films/{film.id}/archive", {"model": "knee"})["Location"] == f"/films/{film.id}/#archive"
    assert Delivery.objects.get().state == "queued"  # the request itself asks nobody
    assert archiving.deliver_due(10) == 1
    return Delivery.objects.get()


def test_an_answer_goes_into_the_film_s_own_study_once(
    client: Client, send: Send, orthanc: Orthanc, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.DICOMWEB_URL = orthanc.url
    orthanc.add([archived(1), archived(1, 2), archived(2)])
    film = uploaded(send, archived(1, 2))
    delivery = sent(client, film)
    assert (delivery.state, delivery.message) == ("sent", "")
    objects = [one for one in orthanc.objects() if one.get("Manufacturer") == "OsteoLens"]
    assert sorted(one.SeriesNumber for one in objects) == [9101, 9102, 9103, 9104]
    assert {(str(one.PatientName), one.PatientID) for one in objects} == {("Mustermann^Erika", "4711-1")}
    assert {one.StudyInstanceUID for one in objects} == {film_study(1)}
    page = client.get(f"/films/{film.id}/").content.decode()
    assert "sent on" in page
    assert AuditEntry.objects.get(action="archive").detail == "knee"

    Delivery.objects.all().delete()  # as if the worker had been killed before it noted the end
    call_command("answer_films", "--once")
    sent(client, film)
    assert len([one for one in orthanc.objects() if one.get("Manufacturer") == "OsteoLens"]) == len(objects)
    for text in (page, rows(), caplog.text):
        assert [secret for secret in (*SECRETS, PASSWORD) if secret in text] == []


def test_a_film_that_the_archive_does_not_have_is_named_and_tried_again(
    client: Client, send: Send, orthanc: Orthanc, settings: Any
) -> None:
    settings.DICOMWEB_URL = orthanc.url
    film = uploaded(send, archived(7))
    delivery = sent(client, film)
    assert delivery.state == "failed"
    assert delivery.message.startswith("the archive does not have this film among those of 2026-01-02")
    page = client.get(f"/films/{film.id}/").content.decode()
    assert "Try again" in page
    assert archiving.deliver_due(10) == 0
    orthanc.add([archived(7)])
    assert sent(client, film).state == "sent"


def test_an_archive_that_is_away_is_tried_for_ever_with_growing_pauses(client: Client, send: Send) -> None:
    film = uploaded(send, archived(1))
    delivery, pauses = sent(client, film), []
    for _ in range(4):
        pauses.append(round((delivery.next_try_at - delivery.changed_at).total_seconds()))
        assert (delivery.state, delivery.message) == ("queued", "no answer from the archive (ConnectionError)")
        assert archiving.deliver_due(10) == 0
        Delivery.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        assert archiving.deliver_due(10) == 1
        delivery.refresh_from_db()
    assert pauses == [2, 4, 8, 16]
    assert client.get(f"/films/{film.id}/state").json()["deliveries"] == {"knee": "queued"}
    shown = client.get(f"/films/{film.id}/")
    assert "tried again by itself" in shown.content.decode()
    assert "127.0.0.1:9" not in shown.content.decode()
    client.post(f"/films/{film.id}/archive", {"model": "knee"})  # a second click changes nothing
    assert Delivery.objects.get().attempts == delivery.attempts


def test_a_refused_password_is_named_and_not_tried_again(
    client: Client, send: Send, orthanc: Orthanc, settings: Any
) -> None:
    settings.DICOMWEB_URL, settings.DICOMWEB_PASSWORD = orthanc.url, "another one"
    delivery = sent(client, uploaded(send, archived(1)))
    assert delivery.state == "failed"
    assert "answered with status 401" in delivery.message
    assert "another one" not in rows()


def test_a_film_that_is_deleted_on_the_way_ends_its_delivery(client: Client, send: Send) -> None:
    film = uploaded(send, archived(1))
    client.post(f"/films/{film.id}/archive", {})
    client.post(f"/films/{film.id}/delete")
    assert archiving.deliver_due(10) == 0
    let_deletions_pass()
    assert not Delivery.objects.exists()


def test_without_an_archive_or_an_origin_nothing_is_offered(
    client: Client, send: Send, film: Film, settings: Any
) -> None:
    dicom = uploaded(send, archived(1))
    assert client.post(f"/films/{film.id}/archive").status_code == 404  # a PNG
    assert "Send to archive" not in client.get(f"/films/{film.id}/").content.decode()
    assert "Send to archive" in client.get(f"/films/{dicom.id}/").content.decode()
    settings.DICOMWEB_URL = ""
    assert "Send to archive" not in client.get(f"/films/{dicom.id}/").content.decode()
    assert client.post(f"/films/{dicom.id}/archive").status_code == 404


def test_refusals(client: Client, stranger: Client, send: Send, film: Film) -> None:
    check_refusals(client, stranger, lambda film_id: f"/films/{film_id}/dicom/all", "GET", film)
    for url in (f"/films/{film.id}/archive", f"/films/{film.id}/dicom/all"):
        assert stranger.post(url).status_code in (404, 405)
    assert client.get(f"/films/{film.id}/archive").status_code == 405
    assert client.get(f"/films/{film.id}/dicom/other").status_code == 404
    assert client.get(f"/films/{film.id}/dicom/all?opacity=x").status_code == 400


def downloaded(client: Client, film: Film, query: str = "") -> dict[str, Dataset]:
    response = client.get(f"/films/{film.id}/dicom/all{query}")
    assert (response.status_code, response["Content-Type"]) == (200, "application/zip")
    with zipfile.ZipFile(io.BytesIO(response.content)) as packed:
        return {name.removesuffix(".dcm"): dcmread(io.BytesIO(packed.read(name))) for name in packed.namelist()}


def test_downloaded_objects_belong_to_one_pseudonymous_study(client: Client, send: Send) -> None:
    left, right = uploaded(send, archived(3, ImageLaterality="L")), uploaded(send, archived(3, 2))
    objects = downloaded(client, left)
    assert tuple(sorted(objects)) == tuple(sorted(KINDS))
    patient = Patient.objects.get()
    assert {one.PatientID for one in objects.values()} == {patient.name}
    assert {str(one.PatientName) for one in objects.values()} == {f"{patient.name}^"}
    assert {one.StudyDate for one in objects.values()} == {""}
    studies = {one.StudyInstanceUID for one in (*objects.values(), *downloaded(client, right).values())}
    assert len(studies) == 1  # left and right of one study stay in one
    assert film_study(3) not in studies
    assert len({one.SOPInstanceUID for one in objects.values()}) == 5
    assert objects["film"].ImageLaterality == "L"
    report = objects["report"].CurrentRequestedProcedureEvidenceSequence[0]
    evidence = {
        item.ReferencedSOPInstanceUID for s in report.ReferencedSeriesSequence for item in s.ReferencedSOPSequence
    }
    assert objects["film"].SOPInstanceUID in evidence
    assert (objects["map"].Rows, objects["map"].Columns) == (left.height, left.width)
    assert downloaded(client, left)["map"].SOPInstanceUID == objects["map"].SOPInstanceUID
    single = dcmread(io.BytesIO(client.get(f"/films/{left.id}/dicom/report").content))
    assert single.SOPInstanceUID == objects["report"].SOPInstanceUID
    assert [kind for kind, one in objects.items() if any(secret in str(one) for secret in SECRETS)] == []


def test_a_picture_becomes_a_capture_under_the_typed_pseudonym(client: Client, send: Send, owner: User) -> None:
    film = Film.objects.get(pk=send(film_bytes(), patient="P\\1^é", side="right", sex="female").json()["id"])
    objects = downloaded(client, film, "?model=yolov5&label=normal")
    assert {one.PatientID for one in objects.values()} == {"P_1_é"}
    assert (objects["film"].ImageLaterality, objects["film"].PatientSex) == ("R", "F")
    assert (objects["film"].pixel_array.shape, objects["film"].StudyDate) == ((160, 120), "")
    assert "normal" in objects["picture"].DerivationDescription
    nameless = Film.objects.get(pk=send(film_bytes(1)).json()["id"])
    assert downloaded(client, nameless)["film"].PatientID == f"OL-{nameless.id.hex[:12]}"
    storage.remove(nameless.id)
    assert client.get(f"/films/{nameless.id}/dicom/all").status_code == 404

"""Films that are pushed by STOW-RS: taken with a key, queued, answered once; everything else refused by name."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from batch.fake_server import FakeServer
from dicomweb_client.web import DICOMwebClient
from pydicom import dcmread
from pydicom.uid import CTImageStorage
from support.planted import NUMBERS, broken, leaks, leaks_below
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.console import Status
from osteolens.dicomweb import stow
from osteolens.dicomweb.archive import Bearer
from osteolens.dicomweb.dimse import Queue
from osteolens.errors import OsteoLensError
from osteolens.serving.ports import free_ports

from .films import SECRETS, film, film_study, uid
from .orthanc import PASSWORD, USER, Orthanc
from .test_listen import wait_for

KEY = "k" * 32
NAMED = {NUMBERS[2]}  # in the SOP Instance UID, by which responses and dead letters name a film
TYPE = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=B', "Authorization": f"Bearer {KEY}"}


def client_of(url: str, key: str = KEY) -> DICOMwebClient:
    session = requests.Session()
    session.trust_env, session.auth = False, Bearer(key)
    client = DICOMwebClient(url, session=session, permissive_uid=True)
    client.set_http_retry_params(retry=False)
    return client


def body(*files: bytes) -> bytes:
    parts = [b"--B\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files]
    return b"".join(parts) + b"--B--\r\n"


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    return Queue(tmp_path / "queue")


@pytest.fixture
def url(queue: Queue) -> Iterator[str]:
    (port,) = free_ports(1)
    with stow.serving(stow.service(queue, KEY), "127.0.0.1", port):
        yield f"http://127.0.0.1:{port}"


def queued(queue: Queue) -> set[str]:
    return {path.stem for path in queue.folder.glob("*")}


def test_films_are_queued_as_they_came_and_named_in_the_response(url: str, queue: Queue) -> None:
    films = [dcmread(io.BytesIO(film(study))) for study in (1, 2)]
    response = client_of(url).store_instances(films)
    assert [item.ReferencedSOPInstanceUID for item in response.ReferencedSOPSequence] == [uid(1), uid(2)]
    assert "FailedSOPSequence" not in response
    assert queued(queue) == {uid(1), uid(2)}
    assert queue.folder.stat().st_mode & 0o77 == 0
    assert dcmread(queue.folder / f"{uid(1)}.dcm").PixelData == films[0].PixelData
    client_of(url).store_instances(films[:1], study_instance_uid=film_study(1))
    assert queued(queue) == {uid(1), uid(2)}


def test_what_is_no_film_of_the_study_is_refused_by_its_reason(url: str, queue: Queue) -> None:
    refused = (film(1, SOPClassUID=CTImageStorage), film(2), b"no DICOM", film(1, SOPInstanceUID="../../etc"))
    mixed = httpx.post(f"{url}/studies/{film_study(1)}", content=body(film(1), *refused), headers=TYPE)
    assert (mixed.status_code, mixed.headers["content-type"]) == (202, "application/dicom+json")
    failed = mixed.json()["00081198"]["Value"]
    assert [item["00081197"]["Value"] for item in failed] == [[0x0122], [0xA900], [0xC000], [0xC000]]
    assert [item["00081155"].get("Value", [""]) for item in failed[:2]] == [[uid(1)], [uid(2)]]
    assert queued(queue) == {uid(1)}
    alone = httpx.post(f"{url}/studies", content=body(refused[0]), headers=TYPE)
    assert (alone.status_code, "00081199" in alone.json()) == (409, False)


def test_a_full_disk_is_the_senders_to_know(url: str, queue: Queue) -> None:
    queue.folder.write_text("a file where the folder should be")
    response = httpx.post(f"{url}/studies", content=body(film(1)), headers=TYPE)
    assert response.status_code == 409
    assert response.json()["00081198"]["Value"][0]["00081197"]["Value"] == [0xA700]


def test_nothing_is_taken_without_the_key(url: str, queue: Queue) -> None:
    for key in ("", "Bearer", f"Bearer {KEY}x", "Bearer é", f"Basic {KEY}"):
        headers = TYPE | {"Authorization": key.encode("latin-1")}
        response = httpx.post(f"{url}/studies", content=body(film(1)), headers=headers)
        assert (response.status_code, response.json()["error"]["code"]) == (401, "key_refused")
        assert response.headers["www-authenticate"] == "Bearer"
    with pytest.raises(requests.HTTPError):
        client_of(url, "another").store_instances([dcmread(io.BytesIO(film(1)))])
    assert queued(queue) == set()


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (body(film(1)), {"Content-Type": "application/dicom"}, 415, "unsupported_type"),
        (body(film(1)), {"Content-Type": "multipart/related; type=application/dicom"}, 415, "unsupported_type"),
        (body(film(1)).replace(b"application/dicom", b"application/dicom+json"), {}, 400, "no_parts"),
        (b"", {}, 400, "no_parts"),
        (body(film(1))[:-300], {}, 400, "no_parts"),  # cut off on its way
    ],
)
def test_requests_that_make_no_sense_are_refused(
    content: bytes, headers: dict[str, str], status: int, code: str, url: str, queue: Queue
) -> None:
    response = httpx.post(f"{url}/studies", content=content, headers=TYPE | headers)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert queued(queue) == set()
    assert httpx.get(f"{url}/studies", headers=TYPE).status_code == 405


@pytest.mark.parametrize("stated", [True, False])
def test_a_body_has_a_limit(stated: bool, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stow, "MAX_BODY", 10_000)
    content = body(film(1))
    response = httpx.post(f"{url}/studies", content=content if stated else iter([content]), headers=TYPE)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


def test_many_senders_at_once_are_taken_or_told_to_come_again(url: str, queue: Queue) -> None:
    statuses: list[int] = []

    def send(study: int) -> None:
        statuses.append(httpx.post(f"{url}/studies", content=body(film(study)), headers=TYPE, timeout=30).status_code)

    senders = [threading.Thread(target=send, args=[study]) for study in range(1, 17)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert set(statuses) <= {200, 503}
    assert len(queued(queue)) == statuses.count(200) > 0


def test_a_port_and_a_certificate_that_cannot_be_used_are_named(url: str, queue: Queue, tmp_path: Path) -> None:
    port = int(url.rpartition(":")[2])
    with (
        pytest.raises(OsteoLensError, match="another --stow-port"),
        stow.serving(stow.service(queue, KEY), "127.0.0.1", port),
    ):
        pass
    certificate = tmp_path / "certificate"
    certificate.write_text("no certificate")
    with (
        pytest.raises(OsteoLensError, match="/certificate cannot be used"),
        stow.serving(stow.service(queue, KEY), "127.0.0.1", free_ports(1)[0], certificate),
    ):
        pass
    done = CliRunner().invoke(app, ["dicomweb", "listen", "--url", url])
    assert (done.exit_code, "--allow AE_TITLE" in done.stderr) == (Status.USAGE, True)


@pytest.mark.slow
def test_films_pushed_by_stow_are_answered_once_and_no_name_stays(tmp_path: Path) -> None:
    """The same command twice; among the films are broken ones whose every element holds a planted name."""
    (port,) = free_ports(1)
    out = tmp_path / "ledger"
    with Orthanc(tmp_path) as orthanc, FakeServer() as server:
        command = [str(Path(sys.executable).parent / "osteolens"), "dicomweb", "listen", "--stow-port", str(port)]
        command += ["--out", str(out), "--server", server.url, "--url", orthanc.url, "--user", USER]
        environment = os.environ | {"OSTEOLENS_DICOMWEB_PASSWORD": PASSWORD}
        printed = ""
        for films in ([film(1), film(2), *broken().values()], [film(2), film(3)]):
            process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
            assert process.stderr is not None
            assert "STOW-RS receives films" in process.stderr.readline()
            headers = TYPE | {"Authorization": f"Bearer {(out / 'stow.key').read_text().strip()}"}
            answer = httpx.post(f"http://127.0.0.1:{port}/studies", content=body(*films), headers=headers, timeout=30)
            assert answer.status_code in (200, 202)
            assert set(leaks(answer.content, dates=True)) <= NAMED
            wait_for(lambda: not list((out / "queue").glob("*.dcm")))
            process.terminate()
            assert process.wait(timeout=30) == Status.INTERRUPTED
            printed += process.stderr.read()
        reports = [one for one in orthanc.objects() if one.Modality == "SR"]
    assert sorted(str(one.StudyInstanceUID) for one in reports if "1.2.826" in one.StudyInstanceUID) == [
        film_study(study) for study in (1, 2, 3)
    ]
    assert len(json.loads((out / "dead-letters.json").read_text())) >= 1
    assert leaks(printed.encode(), dates=True) == []
    letters = (out / "dead-letters.json").read_text()
    assert [secret for secret in SECRETS if secret in printed + letters] == []
    assert {name: rest for name, values in leaks_below(out).items() if (rest := set(values) - NAMED)} == {}

"""`osteolens dicomweb score` against a real Orthanc: through kills and restarts, and refused by name."""

import io
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import requests
from batch.fake_server import FakeServer
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless, SecondaryCaptureImageStorage
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.console import Status
from osteolens.dicomweb import archive
from osteolens.dicomweb.archive import Archive

from .films import SECRETS, film, film_study, uid
from .orthanc import PASSWORD, USER, Orthanc

# Starts the command again as often as it is killed; imports are done once.
STARTER = """
import os, sys
import osteolens.cli.dicomweb, osteolens.dicomweb.scoring, osteolens.cli
while True:
    process = os.fork()
    if process == 0:
        osteolens.cli.main()
    print(process, flush=True)
    status = os.waitpid(process, 0)[1]
    if not os.WIFSIGNALED(status):
        os._exit(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as started:
        yield started


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as started:
        yield started


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OSTEOLENS_DICOMWEB_PASSWORD", PASSWORD)


def arguments(orthanc: Orthanc, server: FakeServer, out: Path, *more: str) -> list[str]:
    where = ["--url", orthanc.url, "--user", USER, "--server", server.url, "--out", str(out)]
    return ["dicomweb", "score", *where, *(more or ["--query", "ModalitiesInStudy=CR"])]


def our_objects(orthanc: Orthanc) -> list[Dataset]:
    return [one for one in orthanc.objects() if one.get("Manufacturer") == "OsteoLens"]


def film_of(report: Dataset) -> list[str]:
    """The films that a report is about."""
    sequences = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")
    studies = [study for name in sequences for study in report.get(name, [])]
    objects = [
        one for study in studies for series in study.ReferencedSeriesSequence for one in series.ReferencedSOPSequence
    ]
    return [one.ReferencedSOPInstanceUID for one in objects if "Radiography" in one.ReferencedSOPClassUID.name]


@pytest.mark.slow
def test_every_good_film_has_its_objects_once_through_restarts_and_kills(
    orthanc: Orthanc, server: FakeServer, tmp_path: Path
) -> None:
    good = {uid(number) for number in range(1, 58)} | {uid(57, 2)}
    orthanc.add(film(number) for number in range(1, 58))
    orthanc.add([film(57, 2), film(58, cut=100), film(59, frame=b"\xff\x4f\xff\x51" + bytes(200))])
    orthanc.add([film(60, BodyPartExamined="CHEST")])
    watch = ["--query", "ModalitiesInStudy=CR", "--watch", "--every", "0.2"]
    command = [sys.executable, "-c", STARTER, *arguments(orthanc, server, tmp_path / "ledger", *watch)]
    log = (tmp_path / "log").open("ab")

    def reports() -> int:
        return len(orthanc.http.post("/tools/find", json={"Level": "Series", "Query": {"Modality": "SR"}}).json())

    def wait_for(number: int) -> None:
        deadline = time.monotonic() + 120
        while (stored := reports()) < number:
            assert time.monotonic() < deadline, f"{stored} reports:\n{(tmp_path / 'log').read_text()}"
            time.sleep(0.1)

    starter = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert starter.stdout is not None
    for number in (3, 9, 16, 24, 33, len(good)):
        process = int(starter.stdout.readline())
        if number == 33:
            wait_for(28)
            orthanc.stop()
            time.sleep(0.5)
            orthanc.start()
        wait_for(number)
        if number < len(good):
            os.kill(process, signal.SIGKILL)
    dead = tmp_path / "ledger" / "dead-letters.json"
    deadline = time.monotonic() + 60
    while not dead.is_file() or len(json.loads(dead.read_text())) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    os.kill(process, signal.SIGTERM)
    assert starter.wait(timeout=30) == Status.INTERRUPTED

    assert CliRunner().invoke(app, arguments(orthanc, server, tmp_path / "ledger")).exit_code == 0
    made = our_objects(orthanc)
    assert Counter(one.SOPClassUID.name for one in made) == dict.fromkeys(
        ["Comprehensive 3D SR Storage", "Secondary Capture Image Storage", "Parametric Map Storage",
         "Encapsulated PDF Storage"], len(good),
    )  # fmt: skip
    assert Counter(name for one in made if one.Modality == "SR" for name in film_of(one)) == dict.fromkeys(good, 1)
    reasons = {letter["sop_instance_uid"]: letter["reason"] for letter in json.loads(dead.read_text())}
    assert set(reasons) == {uid(58), uid(59), uid(60)}
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not [secret for secret in SECRETS if secret.encode() in written]
    assert uid(1).encode() not in written


def test_a_dry_run_lists_the_films_and_stores_nothing(orthanc: Orthanc, server: FakeServer, tmp_path: Path) -> None:
    orthanc.add([film(101), film(101, 2), film(102, Modality="OT", SOPClassUID=SecondaryCaptureImageStorage)])
    before, asked = orthanc.http.get("/statistics").json(), server.requests
    study = ["--study", film_study(101), "--study", film_study(102), "--dry-run"]
    done = CliRunner().invoke(app, arguments(orthanc, server, tmp_path / "ledger", *study))
    assert done.exit_code == 0
    assert sorted(done.stdout.split()) == [uid(101), uid(101, 2)]  # most secondary captures are no films
    assert (orthanc.http.get("/statistics").json(), server.requests) == (before, asked)


def test_values_of_one_keyword_are_alternatives_and_keywords_narrow(
    orthanc: Orthanc, server: FakeServer, tmp_path: Path
) -> None:
    orthanc.add([film(105, Modality="DX", PatientID="A"), film(106, PatientID="B"), film(107, PatientID="C")])
    terms = ["ModalitiesInStudy=CR", "ModalitiesInStudy=DX", "PatientID=A", "PatientID=B"]
    query = [word for term in terms for word in ("--query", term)]
    done = CliRunner().invoke(app, arguments(orthanc, server, tmp_path / "l", *query, "--dry-run", "--json"))
    assert sorted(json.loads(done.stdout)) == [uid(105), uid(106)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--url", "http://me:secret@127.0.0.1:1"], "everybody here sees the password in --url"),
        (["--url", "ftp://127.0.0.1"], "is not an address"),
        (["--query", "ModalitiesInStudy"], "is no search term: KEYWORD=VALUE, such as ModalitiesInStudy=DX"),
        (["--query", "Modalities=DX"], "is no search term"),
    ],
)
def test_wrong_usage_is_refused_by_name(
    options: list[str], message: str, orthanc: Orthanc, server: FakeServer, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, [*arguments(orthanc, server, tmp_path / "l", "--study", "1.2.3"), *options])
    assert done.exit_code == Status.USAGE
    assert message in done.stderr
    assert "secret" not in done.stderr


def test_which_studies_must_be_said(orthanc: Orthanc) -> None:
    done = CliRunner().invoke(app, ["dicomweb", "score", "--url", orthanc.url])
    assert done.exit_code == Status.USAGE
    assert "give --study UID, or --query" in done.stderr


def test_a_wrong_password_and_a_wrong_address_say_what_to_do(
    orthanc: Orthanc, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = arguments(orthanc, server, tmp_path / "l", "--study", "1.2.826.0.1.4711")
    wrong = CliRunner().invoke(app, [*command, "--url", orthanc.url.replace("/dicom-web", "/nowhere")])
    assert (wrong.exit_code, "root of DICOMweb" in wrong.stderr) == (Status.USAGE, True)
    monkeypatch.setenv("OSTEOLENS_DICOMWEB_PASSWORD", "wrong")
    refused = CliRunner().invoke(app, command)
    assert (refused.exit_code, "--password-file" in refused.stderr) == (Status.USAGE, True)
    assert "4711" not in wrong.stderr + refused.stderr
    monkeypatch.setattr(archive, "ATTEMPTS", 1)
    gone = CliRunner().invoke(app, [*command, "--url", "http://127.0.0.1:9/dicom-web"])
    assert (gone.exit_code, "no answer from the archive" in gone.stderr) == (Status.UNREACHABLE, True)


def test_a_search_goes_over_pages_and_a_film_comes_as_it_is_stored(
    orthanc: Orthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    orthanc.add(film(103, number) for number in range(1, 6))
    orthanc.add([film(103, 6, frame=bytes(200))])
    monkeypatch.setattr(archive, "PAGE", 2)
    shelf = Archive(orthanc.url, requests.auth.HTTPBasicAuth(USER, PASSWORD))
    assert shelf.present(film_study(103)) == {uid(103, number) for number in range(1, 7)}
    assert dict(shelf.studies({"StudyInstanceUID": film_study(103)})) == {film_study(103): 6}
    (packed,) = (place for place in shelf.films(film_study(103)) if place.instance == uid(103, 6))
    assert dcmread(io.BytesIO(shelf.fetch(packed))).file_meta.TransferSyntaxUID == JPEG2000Lossless


class Empty(BaseHTTPRequestHandler):
    """An archive without any object, which notes the credentials that it is shown."""

    shown: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.shown.append(self.headers["Authorization"])
        self.send_response(204)
        self.end_headers()


def test_a_certificate_is_checked_against_the_ca_file_before_a_token_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("OSTEOLENS_DICOMWEB_TOKEN", "abc")
    with ThreadingHTTPServer(("127.0.0.1", 0), Empty) as secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        secure.socket = context.wrap_socket(secure.socket, server_side=True)
        threading.Thread(target=secure.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{secure.server_port}"
        command = ["dicomweb", "score", "--url", url, "--study", "1.2.3", "--out", str(tmp_path / "l"), "--dry-run"]
        checked = CliRunner().invoke(app, [*command, "--ca-file", str(certificate)])
        assert (checked.exit_code, Empty.shown) == (0, ["Bearer abc"])
        unknown = CliRunner().invoke(app, command)
        assert (unknown.exit_code, "SSLError" in unknown.stderr) == (Status.UNREACHABLE, True)
        assert len(Empty.shown) == 1
        secure.shutdown()

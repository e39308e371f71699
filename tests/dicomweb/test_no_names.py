"""Who the patient is reaches nothing that a command makes of a DICOM film: no file, row, page, log line or message."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch.fake_server import FakeServer
from pydicom import config, dcmread
from support.planted import NUMBERS, broken, leaks, leaks_below, planted
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.client import DamagedAnswer
from osteolens.dicomweb.archive import ArchiveRefused
from osteolens.dicomweb.deidentify import deidentify
from osteolens.dicomweb.ledger import DEAD_LETTERS, MAX_TRIES, Ledger
from osteolens.dicomweb.scoring import jobs_of_archive, score
from osteolens.dicomweb.source import open_source
from osteolens.errors import ClientError, InputError, RequestRefused
from osteolens.films.read import read, read_bare
from osteolens.inference.reader import Reader
from osteolens.schema import Answer
from osteolens.serving.requests import answer, response

from .orthanc import PASSWORD, USER, Orthanc
from .test_objects import answer as shown_answer
from .test_scoring import Shelf

NAME = "knee.dcm"
PATIENT_MODULE = frozenset(
    {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
     "StudyTime", "ReferringPhysicianName", "PatientAge", "IssuerOfPatientID"}
)  # fmt: skip
MAKER = "Manufacturer"
"""Who made the X-ray machine, which PS3.15 does not count as identity."""
BROKEN = broken()


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `films` of the current one: the planted film, and broken copies of it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / NAME).write_bytes(planted())
    for number, content in enumerate(BROKEN.values()):
        (folder / f"broken{number}.dcm").write_bytes(content)
    return folder


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("damage", BROKEN)
def test_messages_about_broken_films(damage: str, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        for reader in (read, open_source, lambda data: deidentify(data, bytes(32)).lines):
            try:
                text = repr(getattr(reader(BROKEN[damage]), "warnings", ""))
            except InputError as error:
                text = f"{error} {error.hint}"
            assert leaks(text.encode(), dates=True) == []
    assert leaks(repr([str(one.message) for one in shown]).encode(), dates=True) == []
    assert leaks(caplog.text.encode(), dates=True) == []


def test_the_film_that_is_kept() -> None:
    assert leaks(read_bare(planted())[1], dates=True) == []


def test_predict(server: FakeServer, films: Path, tmp_path: Path) -> None:
    every = [f"films/{path.name}" for path in sorted(films.iterdir())]
    for form in ([], ["--json"]):
        status, output = run("predict", *every, "--server", server.url, "--out", "out", *form)
        assert status in (0, 3)
        assert leaks(output.encode(), dates=True) == []
    assert len(list((tmp_path / "out").glob("knee*"))) == 2
    assert leaks_below(tmp_path / "out") == {}


@pytest.mark.parametrize("progress", [["--quiet"], ["--json"]])
def test_batch(server: FakeServer, films: Path, tmp_path: Path, progress: list[str]) -> None:
    status, output = run("batch", "films", "--server", server.url, "--out", "out", "--overlays", *progress)
    assert status in (0, 3), output
    assert leaks(output.encode(), dates=True) == []
    assert leaks_below(tmp_path / "out") == {}
    assert {"results.csv", "results.parquet", "run.json", "report.html", "overlays"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


def test_the_servers_answers_and_logs(model_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    reader = Reader(model_folder)
    for content in (planted(), *BROKEN.values()):
        status, body, headers = response(answer(reader, {"body": content}, {}, "id"))
        assert status in (200, 400, 413, 415, 422), body
        assert leaks(body + repr(headers).encode(), dates=True) == []
    assert leaks(caplog.text.encode(), dates=True) == []


def test_the_audit(films: Path, tmp_path: Path) -> None:
    for label in ("normal", "osteoporosis"):
        (films / label).mkdir()
    (films / NAME).rename(films / "normal" / NAME)
    (films / "broken1.dcm").rename(films / "normal" / "broken.dcm")
    other = planted(WindowCenter=1000, WindowWidth=900)
    (films / "osteoporosis" / "other.dcm").write_bytes(other)
    _, output = run("audit", "films", "--out", "out")
    assert leaks(output.encode(), dates=True) == []
    assert (tmp_path / "out" / "audit.html").exists(), output
    assert leaks_below(tmp_path / "out") == {}


def test_objects_name_the_patient_in_the_patient_module_alone(server: FakeServer, films: Path, tmp_path: Path) -> None:
    (films / NAME).write_bytes(planted(PatientOrientation=["L", "F"]))
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        status, output = run("dicom", f"films/{NAME}", "--server", server.url, "--out", "out")
    assert status == 0, output
    assert leaks(output.encode() + repr([str(one.message) for one in shown]).encode(), dates=True) == []
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 4
    for path in made:
        assert leaks(path.name.encode()) == []
        with config.disable_value_validation():
            content = dcmread(io.BytesIO(path.read_bytes()))
            for element in list(content):
                if element.keyword in PATIENT_MODULE:
                    del content[element.tag]
            texts = [
                str(element.value)
                for element in content.iterall()
                if element.VR not in ("UI", "SQ", "OW", "OF") and element.keyword != MAKER
            ]
        assert leaks("\n".join(texts).encode(), dates=True) == []


def test_deidentify(films: Path, tmp_path: Path) -> None:
    status, output = run("deidentify", "films", "--out", "out")
    assert status == 3
    assert leaks(output.encode(), dates=True) == []
    assert leaks_below(tmp_path / "out") == {}


KNEE = {"BodyPartExamined": "KNEE", "ViewPosition": "AP", "ImageLaterality": "L", "PatientOrientation": ["L", "F"]}


@pytest.mark.parametrize("fault", ["none", "archive", "server", "refused", "bug of the server"])
def test_watching_an_archive(
    fault: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ledger, dead letters and all that is printed: of films that are broken, and where archive or server fail."""
    caplog.set_level(logging.DEBUG)
    shelf, lines = Shelf(), []
    for number, content in enumerate((planted(**KNEE), planted(), *BROKEN.values())):
        shelf.files[f"1.2.{number}"] = content
    shelf._study = lambda data: "1.2"  # type: ignore[method-assign]
    looks = iter(range(MAX_TRIES + 1))

    def fail(step: str) -> None:
        if step == "studies" and next(looks, None) is None:
            raise KeyboardInterrupt
        if fault == "archive" and step == "store":
            raise ArchiveRefused(409, "http_409", "the archive at http://127.0.0.1:9 answered with status 409")

    def ask(data: bytes) -> Answer:
        failures = {
            "server": ClientError("it did not answer in time"),
            "refused": RequestRefused(422, "unusable_image", "blank"),
            "bug of the server": DamagedAnswer("127.0.0.1 does not answer as the contract says"),
        }  # fmt: skip
        if fault in failures:
            raise failures[fault]
        return shown_answer()

    shelf.fault = fail
    with warnings.catch_warnings(record=True) as shown, Ledger(tmp_path / "out", "here knee") as ledger:
        warnings.simplefilter("always")
        jobs = jobs_of_archive(shelf, ask, ledger, lambda: shelf.studies({}))
        with pytest.raises(KeyboardInterrupt):
            score(jobs, ledger, in_flight=2, every=0.01, say=lines.append)
    printed = "\n".join([*lines, caplog.text, *capsys.readouterr(), *(str(one.message) for one in shown)])
    assert lines
    assert leaks(printed.encode(), dates=True) == []
    assert leaks_below(tmp_path / "out") == {}
    letters = json.loads((tmp_path / "out" / DEAD_LETTERS).read_text())
    assert len(letters) == len(BROKEN) + 1 + (fault != "none")


@pytest.mark.slow
def test_scoring_a_real_archive(server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command itself, on the films that Orthanc takes: all that it prints and keeps."""
    monkeypatch.setenv("OSTEOLENS_DICOMWEB_PASSWORD", PASSWORD)
    with Orthanc(tmp_path) as orthanc:
        orthanc.add([planted(**KNEE), planted(SOPInstanceUID="1.2.3"), BROKEN["no pixels"]])
        arguments = ["--query", "ModalitiesInStudy=CR", "--server", server.url, "--out", str(tmp_path / "out")]
        for further in (["--dry-run"], [], ["--json"], ["--again"]):
            status, output = run("dicomweb", "score", "--url", orthanc.url, "--user", USER, *arguments, *further)
            assert status in (0, 3), output
            # Films are named by their SOP Instance UID where somebody has to find them.
            assert set(leaks(output.encode(), dates=True)) <= {NUMBERS[2]}
        assert {"SR", "OT", "DOC"} <= {one.Modality for one in orthanc.objects()}
    assert {
        name: rest for name, values in leaks_below(tmp_path / "out").items() if (rest := set(values) - {NUMBERS[2]})
    } == {}

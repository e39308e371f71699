"""Who the patient is reaches nothing that a command makes of a DICOM film: no file, row, page, log line or message."""

import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch.fake_server import FakeServer
from pydicom import config, dcmread
from support.planted import broken, leaks, leaks_below, planted
from typer.testing import CliRunner

from osteolens.cli.root import app
from osteolens.dicomweb.deidentify import deidentify
from osteolens.dicomweb.source import open_source
from osteolens.errors import InputError
from osteolens.films.read import read, read_bare
from osteolens.inference.reader import Reader
from osteolens.serving.requests import answer, response

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
